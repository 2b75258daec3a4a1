"""What can be launched, and may not be what its author meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gift_core.data_overlap import Overlap
from gift_core.data_spec import TaskSource
from gift_core.memory import readable_size
from gift_core.no_effect import settings_without_effect
from gift_core.planning import LARGEST_TAIL_SHARE
from gift_core.preflight_document import Estimates, PreflightWarning, TokenEstimate
from gift_core.presets import usual_learning_rate
from gift_core.sizing import FILLED
from gift_core.spec import RunSpec
from gift_core.spec_reading import Reading
from gift_core.statistics import wilson_interval

# Learning rates farther than this factor from what is known to work are remarked on.
_FAR = 10
# Of a model for which no learning rate is known to work: below this, no weight of it would change.
_NO_LEARNING_RATE = 1e-9


@dataclass(frozen=True)
class Facts:
    """What is known of an experiment; `effect` is the difference in score, in shares of 1, that is to be told.

    `vocabulary` is the number of the model's tokens, None if it is not known.
    """

    reading: Reading
    estimates: Estimates
    overlap: Overlap | None
    effect: float
    vocabulary: int | None = None

    @property
    def run(self) -> RunSpec:
        return self.reading.spec.run


def warnings_of(facts: Facts) -> list[PreflightWarning]:
    """All that applies, each once."""
    return [warning for find in _ALL for warning in find(facts)]


def _checkpoints(facts: Facts) -> Iterator[PreflightWarning]:
    steps = facts.estimates.steps
    if steps and steps.checkpoint_every >= steps.steps > 1:
        yield PreflightWarning(
            code="no_checkpoint",
            message=f"No checkpoint is written before the end: they are {steps.checkpoint_every:,} steps apart, and "
            f"the run has {steps.steps:,}. What interrupts it takes it back to its start.",
            field="training.checkpoint_every",
            remedy="Lower training.checkpoint_every.",
        )


def _tail(facts: Facts) -> Iterator[PreflightWarning]:
    tokens = facts.estimates.tokens
    if tokens and (share := tokens.tail / tokens.response) > LARGEST_TAIL_SHARE:
        yield PreflightWarning(
            code="eos_tail",
            message=f"{share:.0%} of the tokens that the loss is made of are EOS tail: most of what is learned is how "
            "to stop.",
            field="data.eos_tail",
            remedy="Set data.eos_tail to one, or lower sampling.block_length.",
        )


def _lengths(facts: Facts) -> Iterator[PreflightWarning]:
    tokens, longest = facts.estimates.tokens, facts.run.data.max_length
    if tokens and tokens.truncated:
        yield PreflightWarning(
            code="truncated",
            message=f"{_of_examples(tokens.truncated, tokens)} are cut at {longest:,} tokens and lose their end.",
            field="data.max_length",
            remedy="Raise data.max_length, or set data.overlong to drop.",
        )
    if tokens and tokens.dropped:
        yield PreflightWarning(
            code="left_out",
            message=f"{_of_examples(tokens.dropped, tokens)} are longer than {longest:,} tokens and are left out.",
            field="data.max_length",
            remedy="Raise data.max_length, or set data.overlong to truncate.",
        )


def _of_examples(part: int, tokens: TokenEstimate) -> str:
    whole = tokens.examples + tokens.dropped
    return f"{part:,} of {whole:,} examples ({part / whole:.0%})"


def _repetitions(facts: Facts) -> Iterator[PreflightWarning]:
    found, tokens = facts.overlap, facts.estimates.tokens
    if found and found.held_out and tokens:
        also = f", {found.learned:,} of them with the same response" if found.learned else ""
        yield PreflightWarning(
            code="overlap",
            message=f"{found.held_out:,} of {tokens.held_out:,} held-out prompts are also trained on, but for case and "
            f"white space{also}: the held-out loss will look better than it is.",
            field="data.source",
            remedy="Take one of each pair out of the file.",
        )
    if found and found.repeated and tokens:
        yield PreflightWarning(
            code="duplicates",
            message=f"{found.repeated:,} training examples repeat an earlier one word for word, and count twice.",
            field="data.source",
            remedy="Take them out of the file, unless they are meant to weigh more.",
        )


def _held_out(facts: Facts) -> Iterator[PreflightWarning]:
    tokens, run = facts.estimates.tokens, facts.run
    if tokens and not tokens.held_out:
        yield PreflightWarning(
            code="nothing_held_out",
            message="No example is held out: there will be no held-out loss, and methods cannot be compared.",
            field="data.held_out",
            remedy="Raise data.held_out; of a file, a tenth at most is held out.",
        )
    given = facts.reading.is_given("evaluation.score")
    scored = given and run.evaluation.score and isinstance(run.data.source, TaskSource)
    if tokens and tokens.held_out and scored and (half := _half_width(tokens.held_out)) > facts.effect:
        yield PreflightWarning(
            code="few_items",
            message=f"{tokens.held_out:,} held-out examples tell a score near 50 % to ±{100 * half:.0f} points: too "
            f"few for a difference of {100 * facts.effect:g} points.",
            field="data.held_out",
            remedy=f"Hold out {_items_for(facts.effect):,} or more.",
        )


def _half_width(items: int) -> float:
    """Of Wilson's interval, where it is widest."""
    low, high = wilson_interval(items // 2, items)
    return (high - low) / 2


def _items_for(effect: float) -> int:
    """The fewest items, in two digits, whose interval is no wider than the effect to either side."""
    items = 1
    while _half_width(items) > effect:
        items += max(1, items // 100)
    return items


def _rates(facts: Facts) -> Iterator[PreflightWarning]:
    steps, training = facts.estimates.steps, facts.run.training
    if steps and 2 * steps.warmup > steps.steps:
        yield PreflightWarning(
            code="warmup",
            message=f"{steps.warmup:,} of {steps.steps:,} steps are warm-up: fewer are left than it takes.",
            field="training.warmup_share",
            remedy="Lower training.warmup_share, or train longer.",
        )
    given = facts.reading.is_given("training.learning_rate", "training.adapter", "model.name")
    usual = usual_learning_rate(facts.run) if given else None
    if given and not usual and training.learning_rate < _NO_LEARNING_RATE:
        yield PreflightWarning(
            code="no_effect",
            message=f"A learning rate of {training.learning_rate:g} hardly changes the weights.",
            field="training.learning_rate",
            remedy="Start with 0.0001.",
        )
    if usual and not usual / _FAR <= training.learning_rate <= usual * _FAR:
        far = "above" if training.learning_rate > usual else "below"
        yield PreflightWarning(
            code="learning_rate",
            message=f"A learning rate of {training.learning_rate:g} is far {far} {usual:g}, which is known to work for "
            f"{'a LoRA adapter' if training.adapter == 'lora' else 'all weights'} of such a model.",
            field="training.learning_rate",
            remedy=f"Start with {usual:g}.",
        )


def _without_effect(facts: Facts) -> Iterator[PreflightWarning]:
    if facts.reading.is_given("objective", "training.max_grad_norm", "training.lora", "training.adapter", "methods"):
        found = settings_without_effect(facts.run, facts.reading.spec.methods, facts.vocabulary)
        for code, problem in found:
            yield PreflightWarning(code=code, message=problem.message, field=problem.field, remedy=problem.remedy)


def _room(facts: Facts) -> Iterator[PreflightWarning]:
    memory, disk = facts.estimates.memory, facts.estimates.disk
    if memory and memory.available is not None and memory.needed > FILLED * memory.available:
        yield PreflightWarning(
            code="memory",
            message=f"A run needs about {readable_size(memory.needed)} of memory, and "
            f"{readable_size(memory.available)} are free now.",
            field="training.micro_batch_size",
            remedy="Lower training.micro_batch_size, or turn on training.gradient_checkpointing: neither changes the "
            "result.",
        )
    if disk and disk.available is not None and disk.experiment > disk.available:
        count = facts.estimates.runs or 1
        runs = f"The {count} runs need" if count > 1 else "The run needs"
        yield PreflightWarning(
            code="disk",
            message=f"{runs} {readable_size(disk.experiment)} of disk, and {readable_size(disk.available)} are free.",
            field="training.adapter",
            remedy="Delete runs that are no longer needed, or set training.adapter to lora, which leaves less.",
        )


_ALL: tuple[Callable[[Facts], Iterator[PreflightWarning]], ...] = (
    _room,
    _checkpoints,
    _tail,
    _lengths,
    _repetitions,
    _held_out,
    _rates,
    _without_effect,
)
