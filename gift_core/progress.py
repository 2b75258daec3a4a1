"""How the command line shows a run and a trace."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
        _stop_asked_by_interrupt(console, process.num_processes) as stop,
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
def _stop_asked_by_interrupt(console: Console, processes: int) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second interrupts. Several processes cannot agree on a step to stop at:
    with them, the first interrupts."""
    stop = threading.Event()
    if processes > 1:
        yield stop
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        console.print("Stopping after this step. Press Ctrl-C again to stop at once.", highlight=False)
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
