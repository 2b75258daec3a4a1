"""What jobs are asked with. Two equal orders of the same kind are one job: the second is answered with the first's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from gift_core.errors import SpecError
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.section import Section, Seed
from gift_core.spec import ExportLayout, RunSpec, SamplingSpec, WeightDtype
from gift_core.tasks.items import EvaluationTaskName, FileItems, GeneratedItems, HubItems

MOST_EXAMPLES = 2000
MOST_COUNTED = 1_000_000
CheckpointIds = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(min_length=1, max_length=4)
]
_MOST_ANSWERS = 50_000


class UploadedItems(Section):
    """Problems from an uploaded data set."""

    kind: Literal["dataset"] = "dataset"
    dataset: str = Field(min_length=1, max_length=200, description="The data set's id.")
    first: PositiveInt | None = Field(None, description="So many items from the start of the list; all by default.")


class EvaluationSettings(Section):
    """An `EvaluationPlan` whose items may be an uploaded data set; no path of the machine can be named."""

    task: EvaluationTaskName = Field("sudoku", description="A built-in task, or a benchmark of docs/tasks.md.")
    source: Annotated[GeneratedItems | HubItems | UploadedItems, Field(discriminator="kind")] | None = Field(
        None, description="Where its items come from; the task's own list if left out."
    )
    sampling: SamplingSpec | None = Field(None, description="The denoiser; what suits the task if left out.")
    lengths: Annotated[tuple[PositiveInt, ...], Field(max_length=8)] = Field((), description="Tokens to generate.")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=32)] = Field((0,), description="Of the noise.")


class EvaluationOrder(EvaluationSettings):
    """What decides an evaluation. Two equal orders are one evaluation: the second goes on with the first's answers."""

    checkpoint: Annotated[str, Field(min_length=1, max_length=200)]

    @property
    def id(self) -> str:
        return f"ev_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"

    def plan(self, dataset_path: Callable[[str], Path]) -> EvaluationPlan:
        """The same for the library, with an uploaded data set as its file; raises `SpecError` or `DataError`."""
        source = self.source
        found = (
            FileItems(path=dataset_path(source.dataset), first=source.first)
            if isinstance(source, UploadedItems)
            else source
        )
        asked = {"task": self.task, "sampling": self.sampling, "lengths": self.lengths, "seeds": self.seeds}
        plan = EvaluationPlan.parse(asked | {"source": found.model_dump() if found else None})
        wanted = len(plan.conditions()) * (found.count if isinstance(found, GeneratedItems) else 1)
        if wanted > _MOST_ANSWERS:
            raise SpecError(
                f"That is {wanted:,} answers; {_MOST_ANSWERS:,} can be asked for at once.",
                field="source.count",
                remedy="Ask for fewer items, lengths or seeds, or use `gift evaluate`.",
            )
        return plan


class DatasetOrder(Section):
    """What decides a look at a data set. Two equal orders give the same, so the second is answered with the first's.

    Of `run` count the data, what training makes of them, and the rates of the objective.
    """

    checkpoints: CheckpointIds
    run: RunSpec
    examples: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
    seed: Seed
    minimum_count: Annotated[int, Field(ge=1, le=MOST_COUNTED)]
    labels: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        # What the checkpoints are called does not decide.
        asked = self.model_dump_json(exclude={"labels"})
        return f"di_{hashlib.sha256(asked.encode()).hexdigest()[:32]}"


class DenoiseOrder(Section):
    """Prompts to respond to, all with the same checkpoint and sampler."""

    checkpoint: str = Field(min_length=1, max_length=200, description="A base model or a run's id.")
    prompts: Annotated[tuple[Annotated[str, Field(max_length=20_000)], ...], Field(min_length=1, max_length=1000)] = (
        Field(description="One response is made to each.")
    )
    sampling: SamplingSpec = Field(default_factory=SamplingSpec, description="The denoiser.")
    seed: Seed = Field(1, description="Of the noise.")

    @property
    def id(self) -> str:
        return f"dn_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"


class ExportOrder(Section):
    """A run to be written as other programs load it."""

    run: str = Field(min_length=1, max_length=200, description="A finished run's id.")
    layout: ExportLayout | None = Field(
        None, description="adapter, merged, or published (the layout of the base's authors); what suits it if left out."
    )
    dtype: WeightDtype = Field("auto", description="Of whole weights; auto leaves them as they are.")

    @property
    def id(self) -> str:
        return f"ex_{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"


class PushOrder(ExportOrder):
    """The same, to a repository of the Hugging Face Hub. The token is not a part of it: it is stored nowhere."""

    repository: str = Field(min_length=3, max_length=200, description="owner/name, created if need be.")
    private: bool = Field(False, description="For the owner alone.")


class PushSpec(PushOrder):
    """What is stored of it: whether it came with a token, and not the token."""

    own_token: bool
