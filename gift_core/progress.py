"""How the command line shows a run and a trace."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gift_core.errors import StoppedError
from gift_core.interrupts import stop_asked_by_interrupt
from gift_core.pretraining import PretrainingOptions, pretrain
from gift_core.recording import Recording, record
from gift_core.reporting import Line
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec


def train_with_progress(
    label: str, spec: RunSpec, directory: Path, rate_cache: Path, resume: bool, console: Console
) -> dict[str, Any] | None:
    """Train with a progress bar on `console`; data sets are paths. Returns the result in the first process only."""
    process = PartialState(cpu=not torch.accelerator.is_available())
    with _shown(label, console, process) as (show, stop):
        options = RunOptions(listener=show, rate_cache=rate_cache, resume=resume, should_stop=stop.is_set)
        result = run_training(spec, directory, Path, options)
    # Trainer and callbacks refer to each other: the next run is not to wait for the collector to find this one's model.
    gc.collect()
    return result if process.is_main_process else None


def is_first_process() -> bool:
    """Whether this is the only process of the command, or the first of those that were started together."""
    return PartialState(cpu=not torch.accelerator.is_available()).is_main_process


def pretrain_with_progress(directory: Path, count: int, seed: int, resume: bool, console: Console) -> dict[str, Any]:
    """Make the tiny base with a progress bar on `console`; returns its record."""
    with _shown("tiny", console, PartialState(cpu=True)) as (show, stop):
        return pretrain(directory, count, seed, PretrainingOptions(show, resume, stop.is_set))


def record_with_progress(directory: Path, console: Console) -> Recording:
    """Make the recorded example with a progress bar on `console`."""
    with _shown("recording", console, PartialState(cpu=True)) as (show, _):
        return record(directory, lambda _, line: show(line))


@contextmanager
def _shown(
    label: str, console: Console, process: PartialState
) -> Iterator[tuple[Callable[[Line], None], threading.Event]]:
    """A progress bar that listens to a run, and the event that Ctrl-C sets."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
    )
    with (
        Progress(*columns, console=console, disable=not process.is_main_process) as bar,
        stop_asked_by_interrupt(console, "this step", process.num_processes) as stop,
        _told_how_to_resume(),
    ):
        task = bar.add_task(f"{label} loading", total=None, shown="")

        def show(line: Line) -> None:
            values, probing = line["values"], line["phase"] == "probing"
            bar.update(
                task,
                description=f"{label} {line['phase']}",
                completed=values.get("probed", 0) if probing else line["step"],
                total=values.get("to_probe") if probing else line["total_steps"],
            )
            if "rates_computed" in values:
                computed, reused = int(values["rates_computed"]), int(values["rates_reused"])
                console.print(f"{label}: rates computed {computed:,}, reused {reused:,}", highlight=False)
            if "loss" in values:
                bar.update(task, shown=f"loss {values['loss']:.3f}")

        yield show, stop


@contextmanager
def _told_how_to_resume() -> Iterator[None]:
    try:
        yield
    except StoppedError as error:
        raise StoppedError(error.problems[0].message, remedy="Run the same command with --resume.") from error
