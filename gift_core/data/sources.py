"""Where a run's examples come from: a task, a file or the Hub, with a held-out split that never overlaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from gift_core.data.examples import Example
from gift_core.data.files import FileContents, read_examples
from gift_core.data.layouts import Layout
from gift_core.data.splitting import Split as Split
from gift_core.data.splitting import split_by_prompt
from gift_core.data_spec import DataSpec, FileSource, HubSource, TaskSource
from gift_core.errors import DataError
from gift_core.tasks.registry import TASKS
from gift_core.tasks.task import Problem

# Turns `data.source.dataset` into a file: a data set store on a server, plain `Path` on the command line.
ResolveDataset = Callable[[str], Path]


def load_split(data: DataSpec, resolve_dataset: ResolveDataset) -> Split:
    """Generate or read a run's examples; raises `DataError` or `SpecError`."""
    if isinstance(data.source, TaskSource):
        training, held_out = task_problems(data.source, data.held_out)
        return Split(examples_of(training), examples_of(held_out, len(training)))
    return split_by_prompt(read_source(data.source, resolve_dataset).examples, data.held_out)


def read_source(source: FileSource | HubSource, resolve_dataset: ResolveDataset) -> FileContents:
    """Everything in a file, or in a split of a data set of the Hub; raises `DataError`."""
    if isinstance(source, HubSource):
        from gift_core.data.hub import resolve_split

        return read_examples(resolve_split(source), source)
    return read_examples(resolve_dataset(source.dataset), source)


def task_contents(data: DataSpec) -> FileContents:
    """What a built-in task generates to train on, as if it stood in a file; raises `SpecError`."""
    generated = load_split(data, Path).training
    return FileContents(["prompt", "response"], Layout("pairs", "prompt", "response"), generated)


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
