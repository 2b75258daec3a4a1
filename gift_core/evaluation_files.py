"""The files of an evaluation's folder: what was asked, the items, and a file of answers for each length and seed."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from gift_core.errors import SpecError
from gift_core.evaluation_document import EvaluationHeader, Generation
from gift_core.reporting import write_atomically
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import Item

T = TypeVar("T")
_LOCK_FILE = ".lock"
HEADER_FILE, ITEMS_FILE = "evaluation.json", "items.jsonl"


class AnotherEvaluationError(SpecError):
    """A folder holds answers to something else."""


def read_header(directory: Path) -> EvaluationHeader:
    """What a folder was asked; raises `SpecError` where it holds no evaluation."""
    try:
        return EvaluationHeader.model_validate_json((directory / HEADER_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        known = error.errors()[0]["msg"] if isinstance(error, ValidationError) else None
        reason = known or getattr(error, "strerror", None) or error
        raise SpecError(
            f"{_name(directory)} holds no evaluation that can be read: {reason}.".replace("..", "."),
            field="evaluation",
            remedy="Name a folder that `gift evaluate` wrote.",
        ) from error


def read_items(directory: Path) -> list[Item]:
    """The items that were asked, in their order."""
    return _rows(directory / ITEMS_FILE, Item)


def read_generations(directory: Path, header: EvaluationHeader, items: Container[str]) -> list[dict[str, Generation]]:
    """The answers there are to `items`, by item, for each of the plan's conditions."""
    return [_answers(directory / _file_of(sampling, seed), items) for sampling, seed in header.plan.conditions()]


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep other processes from answering into the same folder; raises `SpecError` where one does already."""
    try:
        with FileLock(directory / _LOCK_FILE, timeout=0):
            yield
    except Timeout as error:
        raise SpecError(
            f"Another process evaluates into {_name(directory)}.", field="--output", remedy="Wait for it, or stop it."
        ) from error


def begin(directory: Path, header: EvaluationHeader, items: Sequence[Item]) -> None:
    """Make a folder for an evaluation, or find that it is this one's; raises `SpecError` where it is another's."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / HEADER_FILE
    if path.exists():
        before = read_header(directory)
        if differing := _differences(before, header):
            raise AnotherEvaluationError(
                f"{_name(directory)} holds another evaluation: {', '.join(differing)} differ.",
                field="--output",
                remedy="Choose another folder.",
            )
        return
    rows = "".join(json.dumps(asdict(item)) + "\n" for item in items)
    write_atomically(directory / ITEMS_FILE, rows)
    write_atomically(path, header.model_dump_json(indent=2))


def _differences(one: EvaluationHeader, other: EvaluationHeader) -> list[str]:
    """In what two evaluations are not the same. A newer version may go on: which answers are whose, the log says."""
    names = ("model_fingerprint", "items_fingerprint", "plan")
    return [name for name in names if getattr(one, name) != getattr(other, name)]


class AnswerFile:
    """The file of one condition. What a dying process left half written is asked again."""

    def __init__(self, directory: Path, sampling: SamplingSpec, seed: int, items: Container[str]) -> None:
        path = directory / _file_of(sampling, seed)
        self.known = _answers(path, items)
        write_atomically(path, "".join(map(_line, self.known.values())))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, part: Sequence[Generation]) -> None:
        """Keep answers; they are on the disk when this returns."""
        self._file.write("".join(map(_line, part)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.known |= {each.item: each for each in part}


def _name(directory: Path) -> str:
    """A folder as it is told to people who may not see where it lies."""
    return "/".join(directory.parts[-2:])


def _answers(path: Path, items: Container[str]) -> dict[str, Generation]:
    return {each.item: each for each in _rows(path, Generation) if each.item in items}


def _file_of(sampling: SamplingSpec, seed: int) -> str:
    return f"generations-{sampling.length}-{seed}.jsonl"


def _line(generation: Generation) -> str:
    return json.dumps(asdict(generation)) + "\n"


def _rows(path: Path, kind: type[T]) -> list[T]:
    """The whole lines of a file; none where there is no file."""
    adapter = TypeAdapter(kind)
    rows = []
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            # The last one is half a line where the process that wrote it died.
            with suppress(ValidationError):
                rows.append(adapter.validate_json(line))
    return rows
