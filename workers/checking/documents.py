"""What a checking process is asked, and what it answers: one line of JSON each. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gift_core.data_spec import DataSpec
from gift_core.document import Document
from gift_core.documents import DatasetPreview
from gift_core.preflight_document import PreflightReport
from gift_core.spec import ExportLayout, RunSpec, WeightDtype
from gift_core.tasks.items import Item
from workers.children.faults import Failed, Hindered, OutOfMemory, Refused


class CheckRun(Document):
    """Whether a run can be trained on its data, which lie in `file` unless a task makes them."""

    kind: Literal["run"] = "run"
    run: RunSpec
    file: Path | None


class CheckRoom(Document):
    """Whether items fit a model's context with `length` tokens to come."""

    kind: Literal["room"] = "room"
    base: str
    items: tuple[Item, ...]
    length: int


class CheckSample(Document):
    """Whether a look at `examples` examples of a run's data finds one that each of these base models can read."""

    kind: Literal["sample"] = "sample"
    run: RunSpec
    file: Path | None
    examples: int
    seed: int
    bases: tuple[str, ...]


class CheckExport(Document):
    """Whether a trained model can be written in a layout and a precision; `is_adapter` says what was trained."""

    kind: Literal["export"] = "export"
    base: str
    layout: ExportLayout | None
    dtype: WeightDtype
    is_adapter: bool


class MakePreview(Document):
    """How rows `start` to `start + rows` look to the run's model."""

    kind: Literal["preview"] = "preview"
    run: RunSpec
    file: Path | None
    start: int
    rows: int


class KeptData(Document):
    """The data of an experiment as the studio keeps them, or what is wrong with them."""

    data: DataSpec
    file: Path | None = None
    refused: Refused | None = None


class Place(Document):
    """The machine that trains: this one where `is_here`, with the disk that `directory` lies on.

    Memory is that of its GPUs, in bytes; None is not known, or asked of this machine.
    """

    directory: Path
    is_here: bool
    memory_free: int | None = None
    memory_total: int | None = None


class FinishedRun(Document):
    """The spec of a run that was trained, in whatever version, and how fast it was."""

    spec: dict[str, Any]
    tokens_per_second: float


class MakeReport(Document):
    """Everything that can be said of an experiment before it is launched.

    `experiment` is what should be one, as JSON: what is wrong with it is part of the report.
    """

    kind: Literal["report"] = "report"
    experiment: str
    kept: KeptData
    place: Place
    earlier: tuple[FinishedRun, ...]
    effect: float
    most_characters: int
    most_generated: int


Question = Annotated[
    CheckRun | CheckRoom | CheckSample | CheckExport | MakePreview | MakeReport, Field(discriminator="kind")
]


class Passed(Document):
    """Nothing is wrong."""

    kind: Literal["passed"] = "passed"


class Previewed(Document):
    kind: Literal["previewed"] = "previewed"
    preview: DatasetPreview


class Reported(Document):
    kind: Literal["reported"] = "reported"
    report: PreflightReport


class Dropped(Document):
    """It was ended since nobody waits for it any more."""

    kind: Literal["dropped"] = "dropped"


Answer = Annotated[
    Passed | Previewed | Reported | Dropped | Refused | Failed | Hindered | OutOfMemory, Field(discriminator="kind")
]


class Ask(Document):
    """A question under a number, by which its answer is known."""

    kind: Literal["ask"] = "ask"
    number: int
    question: Question


class Drop(Document):
    """The question of that number is not to be answered any more."""

    kind: Literal["drop"] = "drop"
    number: int


class Message(Document):
    """What goes to the process."""

    body: Annotated[Ask | Drop, Field(discriminator="kind")]


class Reply(Document):
    """What comes from it. Number 0 says that it has started, or why it has not."""

    number: int
    answer: Answer
