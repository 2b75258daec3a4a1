"""Checkpoints that a run resumes from: which of them are whole, and what the run had reported by then."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gift_core.errors import Problem, SpecError
from gift_core.files import bring_back, sync_all
from gift_core.provenance import Provenance
from gift_core.reporting import (
    CHECKPOINT,
    INPUTS_FILE,
    METRICS_FILE,
    RECORD_FILE,
    RESULT_FILE,
    SPEC_FILE,
    TRAINER_DIRECTORY,
    write_atomically,
)
from gift_core.scratch import scratch_folder
from gift_core.spec import RunSpec

_SEAL = "seal.json"
# transformers' name for the folders of its checkpoints; importing it from there would take seconds.
PREFIX_CHECKPOINT_DIR = "checkpoint"


def seal(directory: Path) -> None:
    """Write down what a finished checkpoint consists of, last of all: without it a checkpoint does not count."""
    # What is on the disk only in part after a loss of power must not look finished.
    sync_all(directory)
    write_atomically(directory / _SEAL, json.dumps(_contents(directory), indent=1))


def is_complete(directory: Path) -> bool:
    """Whether every file of a checkpoint is as it was when it was sealed."""
    try:
        sealed = json.loads((directory / _SEAL).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(sealed == _contents(directory))


def complete_checkpoints(directory: Path) -> Iterator[Path]:
    """The whole checkpoints below a trainer's directory, the newest first; each is read when it is asked for."""
    by_step = sorted(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of, reverse=True)
    return filter(is_complete, by_step)


def remove_others(checkpoint: Path) -> None:
    """Remove what was cut short, or written after `checkpoint`: it would count when old checkpoints are removed."""
    for path in checkpoint.parent.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if step_of(path) > step_of(checkpoint):
            shutil.rmtree(path)


def keep_newest(directory: Path, count: int) -> None:
    """Remove all checkpoints below a trainer's directory but the last `count`."""
    for path in sorted(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=step_of)[:-count]:
        shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-"))


def last_checkpoint(run: Path) -> Path | None:
    """The checkpoint from which the run in a directory can go on; None if it has none."""
    return next(iter(complete_checkpoints(run / TRAINER_DIRECTORY)), None)


def checkpoint_to_resume(run: Path) -> Path | None:
    """The same, for one that is about to be resumed. Raises `SpecError` where checkpoints were finished, and none of
    them is whole any more: to begin at step 0 would lose what the run has learned without a word."""
    found = last_checkpoint(run)
    if found is None and (step := last_sealed_step(run)) is not None:
        raise SpecError(
            f"{run} holds a run that was saved at step {step}, and none of its checkpoints is whole any more.",
            field="resume",
            remedy=f"Put the files of {run / TRAINER_DIRECTORY} back from a copy, or start over.",
        )
    return found


def is_finished(run: Path) -> bool:
    """Whether the run in a directory has come to its end. One that was stopped may have left a result so far, beside
    what it is resumed from, whether or not that is still whole."""
    return (run / RESULT_FILE).exists() and not (run / TRAINER_DIRECTORY).exists()


def drop_checkpoints(run: Path) -> None:
    """Remove what a run could be resumed from: all of it is gone, whenever the process is killed, or nothing."""
    with scratch_folder(run / TRAINER_DIRECTORY) as scratch, suppress(FileNotFoundError):
        (run / TRAINER_DIRECTORY).rename(scratch)


def last_sealed_step(run: Path) -> int | None:
    """Return the step of the newest checkpoint that was written to its end, without reading it; None if missing."""
    seals = (run / TRAINER_DIRECTORY).glob(f"{PREFIX_CHECKPOINT_DIR}-*/{_SEAL}")
    return max((step_of(seal.parent) for seal in seals), default=None)


def begin(run: Path, spec: RunSpec, resumed_from: Path | None) -> None:
    """Make a directory ready for a run that starts anew, or goes on from a checkpoint in it.

    What was reported after that checkpoint is removed, so compare the inputs first: see `check_inputs`.
    """
    bring_back(run / CHECKPOINT)
    if not resumed_from:
        drop_checkpoints(run)
    write_atomically(run / SPEC_FILE, spec.to_yaml())
    forget_after(run, step_of(resumed_from) if resumed_from else -1)
    if resumed_from:
        remove_others(resumed_from)


def write_inputs(run: Path, inputs: Provenance) -> None:
    """Write down what a run that begins is made from."""
    (run / TRAINER_DIRECTORY).mkdir(exist_ok=True)
    write_atomically(run / TRAINER_DIRECTORY / INPUTS_FILE, inputs.model_dump_json(indent=2))


def read_inputs(run: Path) -> Provenance | None:
    """What the run in a directory is made from, finished or not; None if it was not recorded."""
    try:
        return Provenance.model_validate_json((run / TRAINER_DIRECTORY / INPUTS_FILE).read_bytes())
    except (OSError, ValidationError):
        return _of_result(run)


def _of_result(run: Path) -> Provenance | None:
    for name in (RESULT_FILE, RECORD_FILE):
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Provenance.model_validate(json.loads((run / name).read_text("utf-8"))["provenance"])
    return None


def check_spec(run: Path, spec: RunSpec) -> None:
    """Raise `SpecError` with each field in which `spec` is not that of the run in a directory."""
    try:
        before = RunSpec.from_yaml(run / SPEC_FILE)
    except SpecError as error:
        raise SpecError(
            f"The spec of the run in {run} cannot be read: {error}",
            field=SPEC_FILE,
            remedy="Start a new run in another folder.",
        ) from error
    if before == spec:
        return
    remedy = "Use the spec that the run was started with, or start a new run in another folder."
    raise SpecError.of(
        [
            Problem(f"The run in {run} was started with {_shown(old)}, and this is {_shown(new)}.", field, remedy)
            for field, (old, new) in before.changed_values(spec).items()
        ]
    )


def check_inputs(run: Path, now: Provenance) -> None:
    """Raise `SpecError` with each of its inputs that is not what the run in a directory began with."""
    before = read_inputs(run)
    if before and (problems := before.differences(now)):
        raise SpecError.of([replace(each, message=f"{run}: {each.message}") for each in problems])


def check_inputs_of(run: Path, spec: RunSpec, inputs_of: Callable[[Provenance | None], Provenance]) -> None:
    """Raise `SpecError` unless a run in a directory, finished or not, has this spec and was made from the same inputs.

    `inputs_of` gives what it would be made from now, given what it was made from.
    """
    check_spec(run, spec)
    check_inputs(run, inputs_of(read_inputs(run)))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def reported_values(run: Path) -> dict[str, float]:
    """The last value of every metric that a run has reported."""
    latest: dict[str, float] = {}
    for values in all_reported_values(run):
        latest |= values
    return latest


def all_reported_values(run: Path) -> list[dict[str, float]]:
    """What a run has reported, report by report."""
    return [_read(line).get("values", {}) for line in _lines(run)]


def forget_after(run: Path, step: int) -> None:
    """Take what was reported after `step` out of the metrics: a resumed run will report it again."""
    if lines := _lines(run):
        write_atomically(run / METRICS_FILE, "".join(line for line in lines if _is_up_to(line, step)))


def _lines(run: Path) -> list[str]:
    try:
        return (run / METRICS_FILE).read_text("utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []


def _is_up_to(line: str, step: int) -> bool:
    return bool(_read(line).get("step", math.inf) <= step)


def _read(line: str) -> dict[str, Any]:
    """A line of the metrics, {} where it is not whole: a crash cut it short, or it is being written."""
    try:
        read = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {}


def _contents(directory: Path) -> dict[str, list[int | str]]:
    found: dict[str, list[int | str]] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != _SEAL:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(directory))] = [path.stat().st_size, digest]
    return found
