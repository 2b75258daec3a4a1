"""What a checkpoint answers to a list of problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from transformers import PreTrainedTokenizerFast

from gift_core.data.tokenisation import Encoder
from gift_core.errors import Problem, SpecError
from gift_core.evaluation_document import Generation
from gift_core.models.forward import evaluating
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise_all, end_of, text_of
from gift_core.spec import SamplingSpec
from gift_core.statistics import Share
from gift_core.tasks.items import Item
from gift_core.tasks.task import Problem as TaskProblem
from gift_core.tasks.task import Task

_BATCH = 64
# Of items that do not fit, so many are named.
_NAMED = 10


def generate(
    model: DiffusionModel,
    items: Sequence[Item],
    sampling: SamplingSpec,
    seed: int = 0,
    batch: int = _BATCH,
    after_step: Callable[[], None] = lambda: None,
) -> Iterator[list[Generation]]:
    """Respond to all items, `batch` at a time, those with short prompts first; a response depends on its item alone.

    `after_step` is called after each denoising step of a batch. All must fit the context: see `check_lengths`.
    """
    prompts = _prompts(model.tokenizer, items)
    prompts.sort(key=lambda pair: len(pair[1]))
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        with evaluating(model.network):
            answers = denoise_all(model, [ids for _, ids in part], sampling, seed, after_step=after_step)
        found = []
        for (item, _), answer in zip(part, answers, strict=True):
            end = end_of(model, answer.ids)
            text = item.prefill + text_of(model, answer.ids)
            found.append(
                Generation(item.id, text, len(answer.ids) if end is None else end, end is not None, answer.passes)
            )
        yield found


def score_task(
    model: DiffusionModel,
    task: Task,
    problems: Sequence[TaskProblem],
    sampling: SamplingSpec,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, float | int]:
    """Problems solved: `correct` of `n`, their `share` and its 95 % Wilson interval `low` to `high`."""
    items = [Item(str(number), problem.prompt, problem.answer) for number, problem in enumerate(problems)]
    done = correct = 0
    for part in generate(model, items, sampling):
        verdicts = [task.judge(problems[int(each.item)].prompt, each.response) for each in part]
        correct += sum(verdict is not None and verdict.solved for verdict in verdicts)
        done += len(part)
        on_progress(done)
    return asdict(Share.of(correct, len(problems)))


def _prompts(tokenizer: PreTrainedTokenizerFast, items: Sequence[Item]) -> list[tuple[Item, list[int]]]:
    encoder = Encoder(tokenizer)
    return [(item, [*encoder.prompt(item.prompt), *encoder.text(item.prefill)]) for item in items]


def check_lengths(model: DiffusionModel, items: Sequence[Item], length: int) -> None:
    """Raise `SpecError` that names the items which, with `length` tokens to come, do not fit the model's context."""
    check_context(model.tokenizer, model.context_length, items, length)


def check_context(tokenizer: PreTrainedTokenizerFast, context: int, items: Sequence[Item], length: int) -> None:
    """The same before the model is loaded: its tokenizer and the length of its context say enough."""
    prompts = _prompts(tokenizer, items)
    over = [(item, ids) for item, ids in prompts if len(ids) > context - length]
    if not over:
        return
    problems = [
        Problem(
            f"The prompt has {len(ids)} tokens; with {length} to generate that is more than the model's context of "
            f"{context}.",
            field=item.id,
        )
        for item, ids in over[:_NAMED]
    ]
    remedy = "Lower the length, or evaluate a model with a longer context."
    problems.append(Problem(f"{len(over):,} of {len(prompts):,} items do not fit.", "sampling.length", remedy))
    raise SpecError.of(problems)
