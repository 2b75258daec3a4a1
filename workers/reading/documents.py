"""What is asked of a reading process, and what it answers: one line of JSON each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gift_core.data.layouts import FOUND_BY_NAME
from gift_core.data_spec import ColumnMapping
from gift_core.dataset_summary import DatasetSummary
from gift_core.document import Document
from gift_core.tasks.items import EvaluationTaskName
from workers.children.faults import Failed, OutOfMemory, Refused


class ReadExamples(Document):
    """Check rows to learn from; up to `shown` of those that cannot be used are named."""

    kind: Literal["examples"] = "examples"
    mapping: ColumnMapping = FOUND_BY_NAME
    shown: int


class ReadItems(Document):
    """Check problems of an evaluation task, whose columns are its own."""

    kind: Literal["items"] = "items"
    task: EvaluationTaskName


class ListProblems(Document):
    """Write every problem of a file into another file, as CSV."""

    kind: Literal["problems"] = "problems"
    mapping: ColumnMapping = FOUND_BY_NAME
    into: Path


class JoinParts(Document):
    """Write the parts of a data set, the file and `others`, into one file of at most `most_bytes`."""

    kind: Literal["join"] = "join"
    others: tuple[Path, ...] = ()
    into: Path
    most_bytes: int


Task = Annotated[ReadExamples | ReadItems | ListProblems | JoinParts, Field(discriminator="kind")]


class Bounds(Document):
    """What one reading may take: `unpacked` bytes of rows, `memory` bytes of the process, seconds of a processor and of
    the clock."""

    unpacked: int
    memory: int
    cpu_seconds: int
    wall_seconds: int

    @classmethod
    def for_files_of(cls, most_bytes: int) -> Bounds:
        """Return the bounds for files of up to `most_bytes`, which are a few times what honest files need.

        Texts of people unpack to three or four times their size as Parquet. Three times what is unpacked is needed
        while a row and what is made of it are both there, and a gigabyte is the programs' own. Sixty megabytes of very
        short rows take 40 seconds of a processor.
        """
        unpacked = 10 * most_bytes
        cpu_seconds = 60 + 5 * most_bytes // 2**20
        return cls(
            unpacked=unpacked, memory=2**30 + 3 * unpacked, cpu_seconds=cpu_seconds, wall_seconds=3 * cpu_seconds
        )


class Request(Document):
    """A task, the file it is about, and its bounds."""

    path: Path
    task: Task
    bounds: Bounds


class Found(Document):
    """A file that can be used; `summary` is that of examples. Parts that are too large together are not whole."""

    kind: Literal["found"] = "found"
    rows: int = 0
    is_whole: bool = True
    summary: DatasetSummary | None = None


class Hindered(Document):
    """The machine did not let the file be read or another be written: the `number` of the operating system's error."""

    kind: Literal["hindered"] = "hindered"
    number: int


Answer = Annotated[Found | Refused | Hindered | Failed | OutOfMemory, Field(discriminator="kind")]


class Reply(Document):
    """An answer; the process ends after its `is_last`."""

    answer: Answer
    is_last: bool
