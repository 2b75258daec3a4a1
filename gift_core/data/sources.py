"""Where a run's examples come from: a task's generator or a file, with a held-out split that never overlaps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gift_core.data.examples import Example
from gift_core.data.files import read_examples
from gift_core.errors import DataError
from gift_core.spec import DataSpec, TaskSource
from gift_core.tasks.registry import TASKS
from gift_core.tasks.task import Problem

# Turns `data.source.dataset` into a file: a data set store on a server, plain `Path` on the command line.
ResolveDataset = Callable[[str], Path]
# At most this share of a file is held out, however many examples were asked for.
_LARGEST_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Split:
    """Training and held-out examples; no prompt is in both."""

    training: list[Example]
    held_out: list[Example]


def load_split(data: DataSpec, resolve_dataset: ResolveDataset) -> Split:
    """Generate or read a run's examples; raises `DataError` or `SpecError`."""
    if isinstance(data.source, TaskSource):
        training, held_out = task_problems(data.source, data.held_out)
        return Split(examples_of(training), examples_of(held_out, len(training)))
    contents = read_examples(
        resolve_dataset(data.source.dataset), data.source.prompt_column, data.source.response_column
    )
    return _split_by_prompt(contents.examples, data.held_out)


def no_examples() -> DataError:
    """What to say when a source holds nothing to train on."""
    return DataError(
        "No example is left to train on.",
        field="data.source",
        remedy="Add rows, or raise data.max_length if they are too long.",
    )


# A run asks for its problems when it begins and when it is scored, and all runs of an experiment ask for the same.
@lru_cache(maxsize=4)
def task_problems(source: TaskSource, held_out: int) -> tuple[Sequence[Problem], Sequence[Problem]]:
    """Training and held-out problems of a built-in task; raises `SpecError` when there are not that many."""
    training, others = TASKS[source.task].generate(source.examples, source.difficulty, source.seed, held_out)
    return tuple(training), tuple(others)


def examples_of(problems: Sequence[Problem], first: int = 0) -> list[Example]:
    """Problems as examples to learn from, numbered from `first`."""
    return [Example(number, problem.prompt, problem.response) for number, problem in enumerate(problems, first)]


def _split_by_prompt(examples: Iterable[Example], held_out: int) -> Split:
    """Hold out the examples whose prompts hash lowest: equal prompts stay together, and row order does not matter."""
    ordered = sorted(examples, key=lambda example: (_digest(example.prompt), example.id))
    size = min(held_out, int(len(ordered) * _LARGEST_HELD_OUT_SHARE))
    while size and ordered[size].prompt == ordered[size - 1].prompt:
        size -= 1
    by_row = sorted(ordered[size:], key=lambda example: example.id)
    return Split(by_row, ordered[:size])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
