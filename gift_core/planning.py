"""What a run would cost, before it is started: counted from its data, and measured in three real steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gift_core.counting import Epoch, StepBatch, epoch_batches
from gift_core.data.sources import ResolveDataset, task_problems
from gift_core.data_spec import TaskSource
from gift_core.memory import MemoryEstimate, available_memory, begin_anew, peak_memory, readable_size
from gift_core.no_effect import settings_without_effect
from gift_core.preflight import check_memory
from gift_core.run import Prepared, frozen_rates, prepare, rate_cache
from gift_core.sizing import Suggestion, fits, suggest
from gift_core.spec import RunSpec
from gift_core.tasks.registry import TASKS
from gift_core.training import checkpoint_interval, evaluations
from gift_core.trial import scoring_seconds, try_out

# A share of the loss on the EOS tail above which most of what is learned is how to stop.
LARGEST_TAIL_SHARE = 0.5
_TRIAL_STEPS = 3
# Shares of the tokens masked in those steps, below this or as near to 1, that are remarked on.
_LEAST_MASKED = 0.01
# Held-out examples evaluated, and puzzles denoised, to see how long all of them take.
_EVALUATED = 32
_SCORED = 16


class Seconds(BaseModel):
    """Wall time by what it goes into."""

    model_config = ConfigDict(frozen=True)

    probing: float = Field(description="Frozen rates that the cache lacks.")
    training: float
    evaluation: float = Field(description="Held-out losses, all of them together.")
    scoring: float

    @property
    def total(self) -> float:
        return self.probing + self.training + self.evaluation + self.scoring


class Plan(BaseModel):
    """A run before it is started. Tokens are those of one epoch; shares are of 1."""

    model_config = ConfigDict(frozen=True)

    examples: int
    held_out: int
    truncated: int
    dropped: int
    prompt_tokens: int
    response_tokens: int = Field(description="Tokens to be learned, the EOS tail among them.")
    tail_tokens: int
    longest: int
    padding_share: float = Field(description="Share of the computed positions that are padding.")
    steps: int
    checkpoint_every: int
    parameters: int
    trained_parameters: int
    mask_ratio: float = Field(description="Measured, as are the following.")
    tail_loss_share: float
    seconds_per_step: float
    seconds: Seconds
    memory: MemoryEstimate
    suggestion: Suggestion | None = Field(description="What would fit the memory best, unless it is so already.")
    peak_memory: int = Field(description="Bytes that this process has held at most, the program included.")
    warnings: tuple[str, ...] = ()


def plan(
    spec: RunSpec,
    resolve_dataset: ResolveDataset,
    rates: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Count a run's tokens and train three steps of it, the largest micro-batch among them; nothing of that is kept.

    `rates` is where frozen rates may lie already. Raises the `GiftError` that the run would raise, and an
    `OutOfMemoryError` before anything is loaded, where the sizes alone say that the memory is too small.
    """
    begin_anew()
    # Before the trial: what that allocates stays with the process for a while.
    available = available_memory()
    check_memory(spec, resolve_dataset, available)
    on_progress("loading")
    prepared = prepare(spec, resolve_dataset)
    batches = epoch_batches(prepared.training.examples, spec)
    epoch = Epoch.of(prepared.training.examples, batches)
    sample = _sample(prepared, batches)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        on_progress("probing")
        started = time.perf_counter()
        cache = frozen_rates(spec, sample, directory)
        probing = (time.perf_counter() - started) / _all(sample) if cache else 0.0
        on_progress("training three steps")
        trial = try_out(sample, spec, directory, cache)
    on_progress("scoring")
    scoring = _scoring(sample, spec)
    examples, network = prepared.training.examples, prepared.model.network
    steps = epoch.steps * spec.training.epochs
    training = spec.training.epochs * epoch.positions / trial.positions_per_second
    found = Plan(
        examples=len(examples),
        held_out=len(prepared.held_out.examples),
        truncated=prepared.training.truncated,
        dropped=prepared.training.dropped,
        prompt_tokens=epoch.prompt_tokens,
        response_tokens=epoch.response_tokens,
        tail_tokens=epoch.tail_tokens,
        longest=epoch.longest,
        padding_share=epoch.padding / epoch.positions,
        steps=steps,
        checkpoint_every=checkpoint_interval(spec, len(examples)),
        parameters=sum(weight.numel() for weight in network.parameters()),
        trained_parameters=sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        mask_ratio=trial.mask_ratio,
        tail_loss_share=trial.tail_loss_share,
        seconds_per_step=training / steps,
        seconds=Seconds(
            probing=probing * _lacking(spec, prepared, rates) if cache else 0.0,
            training=training,
            evaluation=trial.evaluation_seconds * evaluations(spec, steps) * _scale(prepared, sample),
            scoring=scoring,
        ),
        memory=trial.memory,
        suggestion=_suggestion(spec, prepared, available),
        peak_memory=peak_memory(),
    )
    return found.model_copy(
        update={"warnings": tuple(_warnings(spec, found, available, prepared.architecture.vocabulary))}
    )


def _sample(prepared: Prepared, batches: list[StepBatch]) -> Prepared:
    """The batch with the largest micro-batch, where memory is decided, and two others; and a few held-out examples."""
    largest = max(batches, key=lambda batch: batch.largest)
    others = [batch for batch in batches if batch is not largest]
    chosen = [largest, *others[: _TRIAL_STEPS - 1]]
    examples = [prepared.training.examples[index] for batch in chosen for index in batch.indices]
    return replace(
        prepared,
        training=replace(prepared.training, examples=examples),
        held_out=replace(prepared.held_out, examples=prepared.held_out.examples[:_EVALUATED]),
    )


def _scale(prepared: Prepared, sample: Prepared) -> float:
    return len(prepared.held_out.examples) / max(len(sample.held_out.examples), 1)


def _scoring(prepared: Prepared, spec: RunSpec) -> float:
    """Seconds to score all held-out problems, from a few; 0 where there is nothing to score."""
    if not (spec.evaluation.score and isinstance(spec.data.source, TaskSource) and spec.data.held_out):
        return 0.0
    task = TASKS[spec.data.source.task]
    problems = task_problems(spec.data.source, spec.data.held_out)[1]
    some = problems[:_SCORED]
    return scoring_seconds(prepared, task, some, spec) * len(problems) / len(some)


def _all(prepared: Prepared) -> int:
    return len(prepared.training.examples) + len(prepared.held_out.examples)


def _lacking(spec: RunSpec, prepared: Prepared, directory: Path | None) -> int:
    """Examples whose frozen rates are still to be computed."""
    if directory is None:
        return _all(prepared)
    cache = rate_cache(spec, prepared, directory)
    return sum(example not in cache for example in (*prepared.training.examples, *prepared.held_out.examples))


def _suggestion(spec: RunSpec, prepared: Prepared, available: int) -> Suggestion | None:
    found = suggest(prepared.architecture, spec, prepared.largest_micro_batch(spec), available)
    return None if found is None or found.is_what(spec) else found


def _warnings(spec: RunSpec, found: Plan, available: int, vocabulary: int) -> Iterator[str]:
    if found.tail_loss_share > LARGEST_TAIL_SHARE:
        yield (
            f"{found.tail_loss_share:.0%} of the loss falls on the EOS tail: most of what is learned is how to stop. "
            "Lower sampling.block_length, or set data.eos_tail to one."
        )
    if found.truncated:
        share = found.truncated / found.examples
        yield f"{found.truncated:,} examples ({share:.0%}) are cut at {spec.data.max_length} tokens and lose their end."
    if found.dropped:
        yield f"{found.dropped:,} examples are longer than {spec.data.max_length} tokens and are left out."
    without_effect = [each for _, each in settings_without_effect(spec, (spec.objective.method,), vocabulary)]
    yield from (f"{each.message} {each.remedy}" for each in without_effect)
    if not without_effect and not _LEAST_MASKED <= found.mask_ratio <= 1 - _LEAST_MASKED:
        yield (
            f"{found.mask_ratio:.2%} of the response tokens were masked in three steps. Check objective.reference, "
            "objective.rate_floor and objective.rate_ceiling."
        )
    if not found.held_out:
        yield "No example is held out: there will be no held-out loss, and methods cannot be compared."
    if not fits(found.memory, available):
        yield f"About {readable_size(found.memory.total)} are needed and {readable_size(available)} are free."
