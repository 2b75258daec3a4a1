"""What the API says of jobs that leave files."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from workers.records import Job, JobKind, JobState


class OutputView(BaseModel):
    """A job that leaves files, and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: JobKind
    label: str
    state: JobState
    step: int = Field(description="Responses made so far.")
    total_steps: int | None

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls.model_validate(job)


class FileView(BaseModel):
    """A file to be downloaded."""

    name: str
    bytes: int
