"""Puts the recorded experiment into a studio that has none of its own yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from gift_core.recording import RUNS, Recording, recording_directory
from gift_core.reporting import METRICS_FILE
from gift_core.scratch import scratch_folder
from workers.experiments import new_experiment, new_runs
from workers.metrics import MetricsTail
from workers.outcome import outcome_of
from workers.records import Experiment
from workers.store import JobStore

EXPERIMENT_ID = "exp_recorded"


def install(store: JobStore, runs_directory: Path) -> Experiment:
    """Copy the recording's runs below `runs_directory` and tell the store of them.

    Several processes may do this at once: the files are the same, and the store takes them once.
    """
    recording = Recording.bundled()
    experiment = new_experiment(recording.experiment, "", 0)
    experiment.id = EXPERIMENT_ID
    runs = new_runs(experiment, recording.experiment)
    lines = {}
    for run, identity in zip(runs, recording.runs, strict=True):
        run.id = identity
        directory = runs_directory / identity
        _copy(recording_directory() / RUNS / identity, directory)
        run.result = outcome_of(directory, exit_code=0).result
        lines[identity] = MetricsTail(directory / METRICS_FILE).read()
    store.add_finished(experiment, runs, lines)
    return experiment


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(target) as beside:
        shutil.copytree(source, beside)
        try:
            beside.rename(target)
        except OSError:
            # Another process may have been first: it has put the same there.
            if not target.exists():
                raise
