"""What the API says of data sets, and what it is asked about them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.schemas import DatasetView
from api.views import View
from gift_core.data.catalogue import DATASETS, DatasetEntry
from gift_core.data.hub import is_here, is_offline
from gift_core.data_spec import ColumnMapping, HubSource
from gift_core.dataset_summary import DatasetSummary
from gift_core.tasks.items import EvaluationTaskName
from workers.datasets import DatasetStore
from workers.records import Dataset


class UploadAllowance(BaseModel):
    """What a caller may send now."""

    account: str = Field(description="Whose bytes are counted.")
    file_bytes: int = Field(description="The largest file.")
    bytes_left: int | None = Field(description="Of all data sets of the account; null if there is no such limit.")


class KnownDataset(View):
    """A data set of the Hub that the catalogue has; another split or configuration of it may be asked for."""

    name: str = Field(description="What a spec, the command line and the launch page call it.")
    title: str
    repository: str = Field(description="owner/name on the Hub.")
    revision: str | None = Field(description="The commit that pins its rows; null for the newest.")
    config: str | None
    split: str
    learned: str = Field(description="What is learned from it.")
    rows: int | None
    licence: str | None = Field(description="The Hub's identifier; null if the data set names none.")
    used_by_paper: bool = Field(description="Whether the experiments of the GIFT paper were trained on it.")
    kept: str | None = Field(None, description="The id of the data set, if this studio has fetched it.")
    available: bool = Field(False, description="Whether this studio has it or may fetch it.")

    @classmethod
    def of(cls, entry: DatasetEntry, kept: Dataset | None) -> Self:
        """An entry, and the data set that this studio has fetched from it."""
        available = kept is not None or not is_offline() or is_here(source_of(entry))
        return cls.from_record(entry).model_copy(update={"kept": kept.id if kept else None, "available": available})


class DatasetCatalogue(BaseModel):
    """The catalogue of data sets, and whether those that were not fetched yet can be."""

    online: bool = Field(description="Whether this studio may ask the Hub; if not, upload the files.")
    datasets: list[KnownDataset]

    @classmethod
    def of(cls, datasets: DatasetStore) -> Self:
        kept = datasets.fetched_each(list(map(source_of, DATASETS)))
        known = [KnownDataset.of(entry, dataset) for entry, dataset in zip(DATASETS, kept, strict=True)]
        return cls(online=not is_offline(), datasets=known)


def source_of(entry: DatasetEntry) -> HubSource:
    """The split that an entry of the catalogue stands for."""
    return HubSource.model_validate(entry.source)


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
