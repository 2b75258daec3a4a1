"""What is evaluated: named lists of problems, and a score for any response to one of them, from the texts alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field, PositiveInt, field_validator

from gift_core.data_spec import Difficulty
from gift_core.errors import SpecError
from gift_core.models.hub import HubName
from gift_core.section import Section, Seed

EvaluationTaskName = Literal[
    "sudoku", "countdown", "word_problems", "algebra", "gsm8k", "math500", "countdown3", "sudoku4x4"
]
First = Annotated[PositiveInt | None, Field(description="So many items from the start of the list; all by default.")]
_SHOWN = 200


@dataclass(frozen=True)
class Item:
    """One problem of a named list.

    `id` is the same whenever the list is made again; `prompt` is the user turn, instructions included; `expected` is
    the reference answer; `prefill` is what the response begins with, given to the model rather than written by it.
    """

    id: str
    prompt: str
    expected: str
    prefill: str = ""


@dataclass(frozen=True)
class Score:
    """`solved` is what is counted; `answer` is what was read from the response, "" where nothing was.

    `text` says it to a person; `measures` are further numbers from 0 to 1, under the same names for every item of a
    task.
    """

    solved: bool
    answer: str
    text: str
    measures: Mapping[str, float] = field(default_factory=dict)


class GeneratedItems(Section):
    """Held-out problems, generated: no training run learns from them, whatever its seed."""

    kind: Literal["generated"] = "generated"
    difficulty: Difficulty | None = Field(
        None, description="Level of a built-in task, standard by default; the benchmarks have one level."
    )
    seed: Seed = Field(0, description="Seed of the generator.")
    count: Annotated[int, Field(ge=1, le=10_000)] = Field(256, description="Items to generate.")


class FileItems(Section):
    """Problems from a .jsonl, .json, .csv or .parquet file with the columns that docs/tasks.md names."""

    kind: Literal["file"] = "file"
    path: Path = Field(description="The file.")
    first: First = None


class HubItems(Section):
    """Problems from a data set of the Hub; left out, it is the benchmark's own."""

    kind: Literal["hub"] = "hub"
    dataset: str | None = Field(None, description="owner/name of the data set, with @revision if need be.")
    file: str | None = Field(None, description="The file in it.")
    first: First = None

    @field_validator("dataset")
    @classmethod
    def _is_a_hub_name(cls, dataset: str | None) -> str | None:
        if dataset is not None and HubName.parse(dataset) is None:
            raise ValueError("a data set of the Hub is owner/name or owner/name@revision")
        return dataset


ItemSource = Annotated[GeneratedItems | FileItems | HubItems, Field(discriminator="kind")]
GENERATED = GeneratedItems()
FROM_HUB = HubItems()


class EvaluationTask(Protocol):
    """Pure functions of text: nothing that a model writes is ever executed."""

    @property
    def name(self) -> EvaluationTaskName: ...

    @property
    def title(self) -> str: ...

    @property
    def default_source(self) -> ItemSource:
        """The list by which the task is usually reported."""

    def items(self, source: ItemSource) -> list[Item]:
        """The problems of a list. Raises `SpecError` where the task has no such source, `DataError` about its rows."""

    def score(self, item: Item, response: str) -> Score:
        """The score of everything the model wrote, `prefill` included."""


def fingerprint(items: Iterable[Item]) -> str:
    """Hexadecimal digits that equal lists share: of ids, prompts, what is given and expected answers, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps([item.id, item.prompt, item.prefill, item.expected]).encode() + b"\n")
    return digest.hexdigest()


def scored(item: Item, solved: bool, answer: str, measures: Mapping[str, float] | None = None) -> Score:
    """A score whose text names the expected answer where another one was given."""
    text = "solved" if solved else f"{shown(answer) or 'no answer'}; the answer is {item.expected}"
    return Score(solved, shown(answer), text, measures or {})


def shown(answer: str) -> str:
    """As much of an answer as is kept beside its score."""
    return answer[:_SHOWN]


def no_source(name: EvaluationTaskName, source: Section, remedy: str) -> SpecError:
    """The error of a task that has no items of this kind of source."""
    kind = {GeneratedItems: "generated items", FileItems: "items from a file", HubItems: "items from the Hub"}
    return SpecError(f"{name} has no {kind[type(source)]}.", field="source.kind", remedy=remedy)


def with_one_level(name: EvaluationTaskName, source: GeneratedItems) -> GeneratedItems:
    """The source of a benchmark; raises `SpecError` where it asks for a level."""
    if source.difficulty is not None:
        raise SpecError(
            f"{name} has no levels.", field="source.difficulty", remedy="Leave it out, or choose a built-in task."
        )
    return source
