"""A job on several devices: one process on each, which stop at the same step and are killed together."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gift_core.run import run_training
from gift_core.spec import ExperimentSpec, RunSpec
from tests.workers.conftest import Attempts, Until
from workers.context import channel
from workers.experiments import LaunchOptions
from workers.lifecycle import ending
from workers.processes import signal_everything_of
from workers.records import JobState
from workers.settings import job_environment
from workers.sharing import Sharing
from workers.store import JobStore
from workers.supervisor import Patience, Supervisor, job_command

SPEC = ExperimentSpec.parse(
    {
        "methods": ["gift"],
        "run": {
            "data": {"source": {"kind": "task", "examples": 12}, "held_out": 2},
            "training": {"epochs": 8, "batch_size": 4, "precision": "fp32"},
            "evaluation": {"score": False},
        },
    }
)


@pytest.mark.slow
def test_two_processes_stop_at_the_same_step_and_go_on_to_what_one_process_makes(
    store: JobStore, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, _ = store.create_experiment(SPEC, None, LaunchOptions(devices=2))
    (run,) = store.runs(experiment.id)
    sharing, command = Sharing(tmp_path, None), job_command(tmp_path)
    attempts = Attempts(store, Supervisor(store, sharing, command, lambda _: job_environment(1), Patience(60.0)))
    directory = tmp_path / "runs" / run.id

    told = threading.Event()

    def telling(*arguments: Any) -> None:
        signal_everything_of(*arguments)
        told.set()

    monkeypatch.setattr(ending, "signal_everything_of", telling)
    reports = directory / channel(1)
    work = threading.Thread(target=attempts.execute, args=(run.id,))
    work.start()
    until(lambda: (reports.exists() and reports.read_text().count("tokens_per_second") >= 2) or not work.is_alive())
    # It stands still until it has been told: a fast machine would take the other steps meanwhile.
    signal_everything_of(directory, 1, signal.SIGSTOP)
    store.request_stop(run.id, "user")
    until(told.is_set)
    signal_everything_of(directory, 1, signal.SIGCONT)
    work.join(timeout=60)
    stopped = store.job(run.id)
    log = (directory / "job.log").read_text()
    assert stopped.state == JobState.STOPPED, log
    assert stopped.result is not None, log
    assert 2 <= stopped.result["steps"] < 24
    assert (directory / "checkpoint" / "model.safetensors").exists()

    store.requeue(run.id, "user", "resumed")
    attempts.execute(run.id)
    finished = store.job(run.id)
    assert finished.state == JobState.FINISHED, (directory / "job.log").read_text()
    alone = run_training(RunSpec.parse(run.spec), tmp_path / "alone", Path)
    assert finished.result is not None
    assert finished.result["steps"] == alone["steps"] == 24
    assert finished.result["final_loss"] == pytest.approx(alone["final_loss"], rel=1e-3)
    assert finished.result["held_out_loss"] == pytest.approx(alone["held_out_loss"], rel=1e-3)
    points = store.metrics([run.id], after=0)
    assert [point.step for point in points if "loss" in point.values] == list(range(1, 25))
    one, other = (load_file(place / "checkpoint" / "model.safetensors") for place in (directory, tmp_path / "alone"))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-3
