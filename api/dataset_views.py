"""What the API says of data sets, and what it is asked about them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from api.schemas import DatasetView
from gift_core.data_spec import ColumnMapping
from gift_core.dataset_summary import DatasetSummary
from gift_core.tasks.items import EvaluationTaskName
from workers.records import Dataset


class DatasetDetail(DatasetView):
    """A data set with what is in it."""

    fingerprint: str = Field(description="SHA-256 of its examples; empty where no columns were found, or for problems.")
    summary: DatasetSummary | None = Field(description="Null for problems of a task, and for uploads of long ago.")

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        return cls.from_record(dataset)


FileName = Annotated[str, Field(min_length=1, max_length=255, description="The file's name, such as rows.jsonl.")]


class CheckOptions(ColumnMapping):
    """Which columns of a file to read, and what it is called."""

    name: FileName


class UploadOptions(CheckOptions):
    task: EvaluationTaskName | None = Field(
        None, description="Its rows are problems of this task, to be evaluated on rather than learned from."
    )
