"""What the documents of the API have in common."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from gift_core.config.texts import StorableTexts
from workers.lifecycle.actions import JobAction, actions_of
from workers.lifecycle.snapshots import computed_seconds
from workers.records import Job


class Asked(StorableTexts):
    """The body of a request: a misspelt field is refused, and so is a text that cannot be stored."""

    model_config = ConfigDict(extra="forbid")


class View(BaseModel):
    """A resource. Fields that the record has and the view lacks stay private."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_record(cls, record: object) -> Self:
        return cls.model_validate(record, from_attributes=True)


class ComputedView(View):
    """What pages, API and command line agree on about anything that is computed."""

    saved_step: int | None = Field(
        None, description="The step of the checkpoint that it can be resumed from, or how many answers it has so far."
    )
    undo_step: int | None = Field(None, description="The step that `undo` brings back; null if there is nothing.")
    first_attempt: int = Field(
        1, description="The attempt that began at step 0: the step, the seconds and the points are of those from it on."
    )
    elapsed: float = Field(
        0.0, description="For how many seconds it has been computed since step 0, without the time in the queue."
    )
    actions: list[JobAction] = Field(default_factory=list, description="What may be asked of it now.")

    @classmethod
    def from_record(cls, record: object) -> Self:
        assert isinstance(record, Job)
        fields = {name: getattr(record, name) for name in cls.model_fields if hasattr(record, name)}
        computed = {
            "elapsed": round(computed_seconds(record), 1),
            "undo_step": record.set_aside and (record.set_aside["saved_step"] or record.set_aside["step"]),
            "actions": actions_of(record),
        }
        return cls.model_validate(fields | computed)
