"""Jobs made from other jobs: the same again with changes, or a run that goes on from where another one ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from gift_core.errors import SpecError
from gift_core.section import Section
from gift_core.spec import ExperimentSpec, RunSpec, micro_batch_size
from workers.dataset_inspections import DatasetInspectionService
from workers.evaluations import EvaluationService
from workers.experiments import LaunchOptions, new_id
from workers.keys import Claim
from workers.kinds import KINDS
from workers.launch_checks import require_devices
from workers.orders import DatasetOrder, DenoiseOrder, EvaluationOrder, ExportOrder, PushOrder, PushSpec
from workers.outputs import OutputService
from workers.records import Job, JobKind
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio

_SEEDS = 2**32


class CopyService:
    """Copies of the jobs of one studio."""

    def __init__(
        self,
        studio: Studio,
        evaluations: EvaluationService,
        inspections: DatasetInspectionService,
        outputs: OutputService,
    ) -> None:
        self._studio = studio
        self._evaluations = evaluations
        self._inspections = inspections
        self._outputs = outputs

    def order(self, job_id: str, changes: Mapping[str, Any]) -> Section:
        """What a job was asked with, with dotted fields changed. Raises `NotFoundError`, and `SpecError` for a field
        that there is not."""
        job = self._studio.store.job(job_id)
        asked = KINDS[JobKind(job.kind)].request.parse(job.spec)
        if isinstance(asked, PushSpec):
            # Whether the copy has a token of its own is not for a field to say.
            asked = PushOrder(**asked.model_dump(exclude={"own_token"}))
        return asked.replace(changes)

    def decided(self, order: Section) -> list[str]:
        """The id of the job that is every equal order's; none where each makes a new one."""
        match order:
            case PushOrder():
                return []
            case EvaluationOrder() | DatasetOrder() | DenoiseOrder() | ExportOrder():
                return [order.id]
        return []

    def new(self, order: Section, claim: Claim | None) -> int:
        """How many jobs `clone` would queue: what the same order decides may be there."""
        if decided := self.decided(order):
            return self._studio.missing(decided)
        # An experiment stays when its run is deleted, and is not launched again.
        return self._studio.keys.new(claim, 1) if isinstance(order, RunSpec) else self._studio.unmade(claim)

    def clone(
        self,
        job_id: str,
        order: Section,
        *,
        name: str = "",
        token: SecretStr | None = None,
        claim: Claim | None = None,
        by: str = "",
    ) -> Job:
        """Ask for what `order()` made of a job. A run is launched as that one was, in an experiment of its own that is
        called `name`; `token` is for an upload.

        What the same order decides is the same job: it is answered with that. Raises what asking for it raises.
        """
        job = self._studio.store.job(job_id)
        match order:
            case RunSpec():
                return self._launch(job, order, name, claim, by)
            case EvaluationOrder():
                return self._evaluations.start([order], by)[0]
            case DatasetOrder():
                return self._inspections.start(order, by)
            case DenoiseOrder():
                return self._outputs.denoise(order, by)
            case PushOrder():
                return self._push(job, order, token, claim, by)
            case ExportOrder():
                return self._outputs.export(order, by)
        raise AssertionError(job.kind)

    def prolong(self, job_id: str, epochs: int, claim: Claim | None = None, by: str = "") -> Job:
        """Train a run's weights for `epochs` more, as a new run of the same experiment; the old one stays as it is.

        What goes on: the weights, or the adapter. What does not: the moments of the optimiser, which are removed when a
        run has finished, and the learning-rate schedule, which knew only the epochs that were asked for; the new run
        warms up and decays over its own. It takes the next seed, or it would see the order and the noise of the first
        epochs again. Raises `ConflictError` for a run without weights.
        """
        if (made := self._studio.made(claim)) is not None:
            return made
        store = self._studio.store
        old = store.job(job_id)
        if store.trained_run(job_id) is None or old.experiment_id is None:
            raise ConflictError(
                f"{old.label} has left no weights to go on from.", field="id", remedy="Resume it, or clone it."
            )
        spec = RunSpec.parse(old.spec)
        changes = {"model.start_from": job_id, "training.epochs": epochs, "seed": (spec.seed + 1) % _SEEDS}
        longer = spec.replace(changes)
        require_devices(LaunchOptions(devices=old.devices, device=old.device), store.workers())
        micro_batch_size(longer, old.devices)
        self._studio.check(longer)
        run = Job(
            id=new_id("run"),
            kind=JobKind.TRAIN,
            experiment_id=old.experiment_id,
            label=f"{old.label} + {epochs} epoch{'s' if epochs > 1 else ''}",
            position=1 + max(run.position for run in store.runs(old.experiment_id)),
            spec=longer.model_dump(mode="json"),
            priority=_unhurried(old),
            devices=old.devices,
            device=old.device,
        )
        return self._studio.submit(run, by, claim)

    def _launch(self, job: Job, spec: RunSpec, name: str, claim: Claim | None, by: str) -> Job:
        alone = ExperimentSpec(name=name, run=spec, methods=(spec.objective.method,), seeds=(spec.seed,))
        options = LaunchOptions(_unhurried(job), job.devices, job.device)
        experiment, _ = self._studio.launch(alone, claim, options, by)
        for run in self._studio.store.runs(experiment.id):
            return run
        raise NotFoundError(f"The run of {experiment.name} was deleted.", remedy="Clone it with a new key.")

    def _push(self, job: Job, order: PushOrder, token: SecretStr | None, claim: Claim | None, by: str) -> Job:
        if token is None and job.spec["own_token"]:
            raise SpecError(
                "It was uploaded with a token of its own, which is kept nowhere.",
                field="token",
                remedy="Give the clone one with the role write.",
            )
        return self._outputs.push(order, token, by, claim)


def _unhurried(job: Job) -> int:
    """That an admin let one job go before others is not for its copies."""
    return min(job.priority, 0)
