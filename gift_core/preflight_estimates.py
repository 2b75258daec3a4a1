"""What an experiment would take, told from sizes, lengths and earlier runs: nothing is loaded and nothing trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import lcm
from pathlib import Path
from statistics import quantiles

from gift_core.activations import Setup, adapter_weights
from gift_core.counting import Epoch
from gift_core.data.tokenisation import TokenisedExample
from gift_core.machine import Machine
from gift_core.memory import predict
from gift_core.models.architecture import Architecture
from gift_core.models.weight_files import count_weights
from gift_core.objectives import RECIPES
from gift_core.out_of_memory import too_little_memory
from gift_core.preflight_document import DiskEstimate, MemoryNeed, StepEstimate, TimeEstimate
from gift_core.sizing import largest_micro_batch
from gift_core.spec import Precision, RunSpec
from gift_core.training import (
    KEPT_CHECKPOINTS,
    checkpoint_interval,
    evaluation_interval,
    evaluations,
    logging_interval,
    warmup_steps,
)

_FP32 = 4
_MOMENTS = 2
# Bytes of a line of metrics, with the probe's measures and without, as the recorded runs have them; and of what the
# trainer itself remembers of each report.
_LINE_PROBED, _LINE, _REMEMBERED = 1086, 438, 180
# Random state, schedule, seal and config, of a checkpoint; spec and result, of a run.
_SMALL_FILES, _RECORDS = 20_000, 1_700
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
# Of an example's frozen rates: entropy and -log p of each token in fp32, and its name in the file's head.
_RATE_BYTES, _RATE_NAME = 2 * _FP32, 130
# Training reaches between these shares of the speed of one large matrix product; small batches on a large device reach
# very little. The usual share is what the tiny base reaches on a CPU core: 0.17 to 0.24 in bf16, 0.64 in fp32.
_LEAST_USE, _MOST_USE = 0.05, 0.9
_USUAL_USE: Mapping[Precision, float] = {"bf16": 0.2, "fp32": 0.6}
# t is uniform, and so half of the response is masked on average.
_MASKED_SHARE = 0.5


@dataclass(frozen=True)
class Earlier:
    """A run that has finished, on the device that the next one would have."""

    spec: RunSpec
    tokens_per_second: float

    def is_like(self, spec: RunSpec) -> bool:
        """Whether it did the same work per token, by the settings that change it most."""
        return all(_at(self.spec, field) == _at(spec, field) for field in _SPEED_FIELDS)


_SPEED_FIELDS = (
    "model",
    "objective.method",
    "objective.probe",
    "training.adapter",
    "training.precision",
    "training.gradient_checkpointing",
    "training.compile",
)


@dataclass(frozen=True)
class Model:
    """A base model by its config and the heads of its files."""

    folder: Path
    body: Architecture
    context: int


def steps_of(spec: RunSpec, epoch: Epoch, examples: int) -> StepEstimate:
    """The steps of a run over so many training examples."""
    steps = epoch.steps * spec.training.epochs
    return StepEstimate(
        steps=steps,
        per_epoch=epoch.steps,
        warmup=warmup_steps(spec, steps),
        checkpoint_every=checkpoint_interval(spec, examples),
        evaluations=evaluations(spec, steps) if spec.data.held_out else 0,
    )


def memory_of(
    spec: RunSpec, model: Model, examples: Sequence[TokenisedExample], available: int | None
) -> MemoryNeed | None:
    """The peak of a run, None for bodies whose memory sizes do not tell."""
    if not model.body.is_llama:
        return None
    found = predict(model.body, Setup.of(spec, model.body), largest_micro_batch(examples, spec))
    return MemoryNeed(
        needed=found.total,
        weights=found.weights,
        gradients=found.gradients,
        optimiser=found.optimiser,
        activations=found.activations,
        available=available,
    )


def check_memory_of(spec: RunSpec, model: Model, examples: Sequence[TokenisedExample], total: int | None) -> None:
    """Raise an `OutOfMemoryError` where a run needs more than the machine has in all, whatever else is free by then."""
    if total is None or not model.body.is_llama:
        return
    batch = largest_micro_batch(examples, spec)
    needed = predict(model.body, Setup.of(spec, model.body), batch)
    if needed.total > total:
        raise too_little_memory(spec, batch, model.body, needed, total)


def disk_of(
    runs: Sequence[RunSpec], model: Model, steps: StepEstimate, epoch: Epoch, examples: int, free: int | None
) -> DiskEstimate | None:
    """What the runs of an experiment leave, None where the number of trained weights cannot be told."""
    spec = runs[0]
    trained = _trained_weights(spec, model)
    if trained is None:
        return None
    tokenizer = sum((model.folder / name).stat().st_size for name in _TOKENIZER_FILES if (model.folder / name).exists())
    lines = _logged(spec, steps)
    final = trained * _FP32 + tokenizer
    checkpoint = final + trained * _FP32 * _MOMENTS + _SMALL_FILES + lines * _REMEMBERED
    logs = _RECORDS + lines * (_LINE_PROBED if any(map(_is_probed, runs)) else _LINE)
    written = -(-steps.steps // steps.checkpoint_every)
    # A new checkpoint is whole before the oldest goes, and the last ones go when the trained model is there.
    at_once = max(min(written, KEPT_CHECKPOINTS + 1) * checkpoint, min(written, KEPT_CHECKPOINTS) * checkpoint + final)
    frozen = any(run.objective.probe == "frozen" and _is_probed(run) for run in runs)
    rates = epoch.response_tokens * _RATE_BYTES + examples * _RATE_NAME if frozen else 0
    left = final + logs
    return DiskEstimate(
        checkpoint=checkpoint,
        final=final,
        logs=logs,
        rates=rates,
        peak=at_once + logs,
        left=left,
        experiment=left * (len(runs) - 1) + at_once + logs + rates,
        available=free,
    )


def time_of(
    label: str, spec: RunSpec, model: Model, epoch: Epoch, machine: Machine, earlier: Sequence[Earlier]
) -> TimeEstimate | None:
    """How long a run trains: by the runs that did the same, else by counting operations; None where neither can be."""
    speeds = [run.tokens_per_second for run in earlier if run.is_like(spec) and run.tokens_per_second > 0]
    tokens = epoch.tokens * spec.training.epochs
    if speeds:
        count = f"{len(speeds)} earlier runs" if len(speeds) > 1 else "an earlier run"
        slow, usual, fast = _quartiles(speeds)
        return TimeEstimate(
            label=label,
            likely=tokens / usual,
            low=tokens / fast,
            high=tokens / slow,
            basis="measured",
            explanation=f"At the speed of {count} of {spec.model.name} with {spec.objective.method.upper()} here: the "
            "median, and the middle half of the runs.",
        )
    speed = machine.speed(spec.training.precision)
    if speed is None or not model.body.is_llama:
        return None
    operations = _operations(spec, model.body, epoch)
    return TimeEstimate(
        label=label,
        likely=operations / (_USUAL_USE[spec.training.precision] * speed),
        low=operations / (_MOST_USE * speed),
        high=operations / (_LEAST_USE * speed),
        basis="computed",
        explanation="This is the first run of its kind on this machine, so the time is a rough guess: the number of "
        f"operations at {_USUAL_USE[spec.training.precision]:.0%} of the speed of a matrix product, "
        f"{speed / 1e9:,.0f} GFLOP a second here. Training reaches between {_LEAST_USE:.0%} and "
        f"{_MOST_USE:.0%} of it.",
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile of one or more values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def all_times(times: Sequence[TimeEstimate | None]) -> TimeEstimate | None:
    """The sum over an experiment's runs, None where one of them is not known."""
    known = [time for time in times if time is not None]
    if not known or len(known) < len(times):
        return None
    measured = all(time.basis == "measured" for time in known)
    return TimeEstimate(
        label="all runs",
        likely=sum(time.likely for time in known),
        low=sum(time.low for time in known),
        high=sum(time.high for time in known),
        basis="measured" if measured else "computed",
        explanation=" ".join(dict.fromkeys(time.explanation for time in known)),
    )


def _operations(spec: RunSpec, body: Architecture, epoch: Epoch) -> float:
    """Floating-point operations of a training: two for each weight that a position meets, forward."""
    products = 2.0 * body.layers * body.layer_products * epoch.positions
    attention = 4.0 * body.layers * body.query_width * epoch.squares
    forward, head = products + attention, 2.0 * body.head * epoch.response_tokens
    # Backward, a full training needs the gradients of weights and of activations, LoRA hardly more than the latter.
    passes = (2 if spec.training.adapter == "lora" else 3) + spec.training.gradient_checkpointing
    total = passes * forward * spec.training.epochs + 3 * _MASKED_SHARE * head * spec.training.epochs
    return total + (forward + head) * _probed_epochs(spec)


def _probed_epochs(spec: RunSpec) -> float:
    if not _is_probed(spec):
        return 0
    epochs, probe = spec.training.epochs, spec.objective.probe
    return {"online": epochs, "frozen": 1, "every_k": -(-epochs // spec.objective.probe_every)}[probe]


def _is_probed(spec: RunSpec) -> bool:
    return RECIPES[spec.objective.method].score is not None


def _trained_weights(spec: RunSpec, model: Model) -> int | None:
    if spec.training.adapter == "full":
        return count_weights(model.folder)
    return model.body.layers * adapter_weights(model.body, spec.training.lora) if model.body.is_llama else None


def _logged(spec: RunSpec, steps: StepEstimate) -> int:
    """Steps that are reported: at their interval, with each held-out loss, with each checkpoint, and the last."""
    total = steps.steps
    intervals = {logging_interval(total), steps.checkpoint_every, evaluation_interval(spec, total), total}
    # Inclusion and exclusion: a step that several ask for is reported once.
    return sum(
        (-1) ** (size - 1) * sum(total // lcm(*some) for some in combinations(intervals, size))
        for size in range(1, len(intervals) + 1)
    )


def _at(spec: RunSpec, field: str) -> object:
    found: object = spec
    for part in field.split("."):
        found = getattr(found, part)
    return found
