"""What a job checks before it computes, checked when the job is asked for: it would fail after it has waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from gift_core.data.hub import is_offline
from gift_core.errors import DataError, ModelError, SpecError
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.models.catalogue import find_model
from gift_core.spec import RunSpec
from gift_core.tasks.items import GeneratedItems, HubItems, Item
from workers.checking.documents import CheckExport, CheckRoom, CheckRun, CheckSample
from workers.dataset_uses import file_of, with_kept_data
from workers.experiments import LaunchOptions
from workers.inputs import inputs_of
from workers.orders import DatasetOrder, DenoiseOrder, ExportOrder, PushOrder, PushSpec
from workers.records import ENDED, Job, JobKind, JobState
from workers.starts import require_trained
from workers.store import ConflictError

if TYPE_CHECKING:
    from workers.checking.checker import Checker
    from workers.records import Worker
    from workers.studio import Checkpoint, Studio

# Generated items are alike: of a longer list its beginning says whether they fit. Making all takes up to half a minute.
_MOST_GENERATED = 1000


def require_devices(options: LaunchOptions, workers: Sequence[Worker]) -> None:
    """Raise `SpecError` for devices that no worker has; without any worker, all are waited for."""
    fitting = [
        sum(options.device in ("", device["name"], device["name"].partition(":")[0]) for device in worker.devices)
        for worker in workers
    ]
    most = max(fitting, default=options.devices)
    if most >= options.devices:
        return
    known = ", ".join(sorted({device["name"] for worker in workers for device in worker.devices})) or "none"
    remedy = f"The workers have {known}: choose from these, or start a worker that has what you want first."
    if options.device and not most:
        raise SpecError(f"No worker has the device {options.device}.", field="device", remedy=remedy)
    raise SpecError(
        f"{options.devices} devices were asked for; a worker has {most} at most.", field="devices", remedy=remedy
    )


def require_weights(studio: Studio, checkpoint: Checkpoint) -> str:
    """Return the name of a checkpoint's base. Raise `ModelError` if its weights, or those of its base, are gone."""
    base = checkpoint.id
    if checkpoint.directory is not None:
        base = RunSpec.parse(studio.store.job(checkpoint.id).spec).model.name
        # With artefacts, another host may have them.
        if not checkpoint.directory.is_dir() and studio.settings.artefacts_url is None:
            raise ModelError(
                f"The weights of {checkpoint.label} are no longer in the data folder.",
                field="checkpoints",
                remedy="Choose another checkpoint, or train it again.",
            )
    try:
        find_model(base)
    except ModelError as error:
        problem = error.problems[0]
        raise ModelError(problem.message, field="checkpoints", remedy=problem.remedy) from None
    return base


def require_start(studio: Studio, run: RunSpec) -> None:
    """Raise `ModelError` if the weights that a run starts from are gone."""
    checkpoint = studio.find_checkpoint(run.model.start_from) if run.model.start_from else None
    if checkpoint is not None:
        try:
            require_weights(studio, checkpoint)
        except ModelError as error:
            problem = error.problems[0]
            raise ModelError(problem.message, field="model.start_from", remedy=problem.remedy) from None


def require_trainable(studio: Studio, run: RunSpec) -> None:
    """Raise the `GiftError` that training a run would raise; none of this depends on method and seed."""
    run = run.model_copy(update={"data": with_kept_data(run.data, studio.datasets)})
    require_trained(studio.store, run)
    require_start(studio, run)
    with studio.datasets.held(run.data.source):
        # A wrong name does not wait for the checker.
        find_model(run.model.name)
        studio.checker.ask(CheckRun(run=run, file=file_of(run.data, studio.datasets)))


def require_items(plan: EvaluationPlan) -> list[Item]:
    """Read, fetch or make the items of an evaluation; only the first of a long generated list.

    Where the studio may use the network, this puts the files of the Hub into its cache, from which the job reads them.
    Raises `SpecError` if the task has no such items, and `DataError` if they cannot be had or used.
    """
    task = plan.evaluation_task
    source = plan.source or task.default_source
    if isinstance(source, GeneratedItems) and source.count > _MOST_GENERATED:
        source = source.replace({"count": _MOST_GENERATED})
    try:
        return task.items(source)
    except DataError as error:
        if isinstance(source, HubItems) and error.problems[0].field == "source.dataset" and is_offline():
            raise DataError(
                f"The items of {source.dataset or task.title} are on the Hugging Face Hub, and this studio is kept off "
                "the network.",
                field="source.kind",
                remedy=f"Upload the file as items of {task.name} and choose it, or have the studio started with "
                "HF_HUB_OFFLINE=0.",
            ) from None
        raise


def require_room(checker: Checker, base: str, items: Sequence[Item], length: int) -> None:
    """Raise `SpecError` that names the items which do not fit the model's context with `length` tokens to come."""
    checker.ask(CheckRoom(base=base, items=tuple(items), length=length))


def require_plan(studio: Studio, plan: EvaluationPlan, checkpoint: Checkpoint) -> None:
    """Raise the `GiftError` that evaluating a checkpoint would raise before its first answer."""
    base = require_weights(studio, checkpoint)
    items = require_items(plan)
    require_room(studio.checker, base, items, max(sampling.length for sampling, _ in plan.conditions()))


def require_responses(studio: Studio, order: DenoiseOrder, checkpoint: Checkpoint) -> None:
    """Raise the `GiftError` that responding to a batch of prompts would raise before its first response."""
    base = require_weights(studio, checkpoint)
    items = [Item(id=f"prompts.{number}", prompt=prompt, expected="") for number, prompt in enumerate(order.prompts)]
    require_room(studio.checker, base, items, order.sampling.length)


def require_examples(studio: Studio, order: DatasetOrder, checkpoints: Sequence[Checkpoint]) -> None:
    """Raise the `GiftError` that looking at a data set would raise before its first probe."""
    bases = [require_weights(studio, checkpoint) for checkpoint in checkpoints]
    run = order.run
    with studio.datasets.held(run.data.source):
        studio.checker.ask(
            CheckSample(
                run=run,
                file=file_of(run.data, studio.datasets),
                examples=order.examples,
                seed=order.seed,
                bases=tuple(dict.fromkeys(bases)),
            )
        )


def require_export(studio: Studio, order: ExportOrder, run: Job) -> None:
    """Raise the `GiftError` that exporting a finished run would raise; a token that is wrong shows only at the Hub."""
    spec = RunSpec.parse(run.spec)
    checkpoint = studio.find_checkpoint(run.id)
    if checkpoint is None:
        raise ConflictError(f"{run.label} has left no weights.", field="run", remedy="Choose another run.")
    base = require_weights(studio, checkpoint)
    is_adapter = spec.training.adapter == "lora"
    studio.checker.ask(CheckExport(base=base, layout=order.layout, dtype=order.dtype, is_adapter=is_adapter))


def require_push(order: PushOrder, token: SecretStr | None, *, studio_has_token: bool) -> None:
    """Raise `SpecError` for a name that the Hub cannot have, and for a token that is missing or cannot be one."""
    from gift_core.push import repository_name

    repository_name(order.repository)
    if token is None:
        if not studio_has_token:
            raise _no_token("There is no token to upload with.")
        return
    text = token.get_secret_value().strip()
    if not text:
        raise _no_token("The token is empty.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise _no_token("A token has letters, digits and _ only.")


def require_again(studio: Studio, job: Job) -> None:
    """Raise the `GiftError` of a job that cannot be taken up again: what it reads, or its token, is gone."""
    if job.state not in ENDED - {JobState.FINISHED}:
        # It has all that it needs, or needs nothing any more.
        return
    if job.kind == JobKind.PUSH and PushSpec.parse(job.spec).own_token and not studio.secrets.has(job.id):
        raise ConflictError(
            "It was uploaded with a token of its own, which is not kept.",
            field="token",
            remedy="Upload the run again, or clone this upload, and give a token.",
        )
    needed = inputs_of(job)
    for dataset in needed.datasets:
        studio.datasets.path(dataset)
    for name in needed.checkpoints:
        checkpoint = studio.find_checkpoint(name)
        if checkpoint is None:
            raise ModelError(
                f"There are no weights of {name} any more.", field="checkpoint", remedy="Ask for another checkpoint."
            )
        require_weights(studio, checkpoint)
    if job.kind == JobKind.TRAIN:
        find_model(RunSpec.parse(job.spec).model.name)


def _no_token(message: str) -> SpecError:
    remedy = "Make one with the role write on huggingface.co/settings/tokens."
    return SpecError(message, field="token", remedy=remedy)
