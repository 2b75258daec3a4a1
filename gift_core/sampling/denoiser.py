"""The loop: predict, commit the most confident, go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gift_core.models.loading import DiffusionModel
from gift_core.sampling.canvas import Canvas, Start
from gift_core.sampling.order import chosen_at_random, most_confident
from gift_core.sampling.passes import passes
from gift_core.sampling.prediction import Predictions, Reader
from gift_core.spec import SamplingSpec


@dataclass(frozen=True)
class Step:
    """One forward pass and what it committed. Arrays are [batch, length] over the response.

    `numbers` [batch] are the rows' own steps, over all blocks. `predictions` are of the True cells of `read`, in
    row-major order. `tokens` and `masked` are as they stand after the step; where masked, the token is the mask's.
    """

    numbers: Tensor
    read: Tensor
    predictions: Predictions
    committed: Tensor
    tokens: Tensor
    masked: Tensor


@torch.inference_mode()
def denoise_steps(
    model: DiffusionModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingSpec,
    seed: int = 0,
    *,
    starts: Sequence[Start] | None = None,
    top_k: int = 0,
) -> Iterator[Step]:
    """Denoise a batch of prompts, one `Step` at a time; stop iterating to cancel.

    A row's tokens do not depend on the others. `starts` say what stands in each response already. With `top_k`,
    entropy and the most probable tokens are read at every masked position (a trace shows them), not only what is
    needed; the tokens are the same. Raises `SpecError` where the model cannot do what `sampling` asks for.
    """
    canvas = Canvas(model, prompts, sampling, starts or [Start()] * len(prompts))
    ends = tuple({model.eos_id, model.end_of_turn_id})
    predict = passes(model, canvas, sampling, Reader(sampling, seed, ends, model.mask_id, top_k))
    while (running := _unfinished(canvas, sampling, ends)).any():
        rows = running.nonzero()[:, 0]
        open_, due, numbers = canvas.open[rows], canvas.due[rows], canvas.step_number[rows]
        random = chosen_at_random(sampling, seed, open_, due, numbers)
        if random is not None and not random.any():
            canvas.go_on(rows)
            continue
        read = canvas.masked[rows] if top_k else open_ if random is None else random
        predictions = predict(rows, read)
        committed = random
        if committed is None:
            committed = most_confident(sampling, open_, due, predictions.at(open_[read]) if top_k else predictions)
        canvas.commit(rows, committed, _laid_out(read, predictions.token))
        yield Step(
            numbers=canvas.spread(rows, numbers),
            read=canvas.spread(rows, read),
            predictions=predictions,
            committed=canvas.spread(rows, committed),
            tokens=canvas.response,
            masked=canvas.masked.clone(),
        )


@dataclass(frozen=True)
class Denoised:
    """A response's token `ids` [length], EOS after the end of one that was stopped early, and what it took."""

    ids: list[int]
    passes: int


def denoise_all(
    model: DiffusionModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingSpec,
    seed: int = 0,
    *,
    starts: Sequence[Start] | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> list[Denoised]:
    """Each prompt's response. `after_step` may raise to stop, or let others compute."""
    if not prompts:
        return []
    canvas = Canvas(model, prompts, sampling, starts or [Start()] * len(prompts))
    response, masked = canvas.response, canvas.masked
    passes = torch.zeros(len(prompts), dtype=torch.long, device=model.device)
    for step in denoise_steps(model, prompts, sampling, seed, starts=starts):
        response, masked = step.tokens, step.masked
        passes += step.read.any(1)
        after_step()
    ids: list[list[int]] = response.masked_fill(masked, model.eos_id).tolist()
    return [Denoised(row, count) for row, count in zip(ids, passes.tolist(), strict=True)]


def denoise(
    model: DiffusionModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingSpec,
    seed: int = 0,
    *,
    starts: Sequence[Start] | None = None,
) -> list[list[int]]:
    """Token ids of each prompt's response, [batch][length]."""
    return [each.ids for each in denoise_all(model, prompts, sampling, seed, starts=starts)]


def text_of(model: DiffusionModel, ids: Sequence[int]) -> str:
    """The response as text, up to its first end of turn or EOS."""
    return str(model.tokenizer.decode(list(ids[: end_of(model, ids)]), skip_special_tokens=False))


def end_of(model: DiffusionModel, ids: Sequence[int]) -> int | None:
    """Where a response ends: the position of its first end of turn or EOS, None without one."""
    return next((i for i, token in enumerate(ids) if token in (model.eos_id, model.end_of_turn_id)), None)


def _unfinished(canvas: Canvas, sampling: SamplingSpec, ends: tuple[int, ...]) -> Tensor:
    """The rows that have to go on, [batch]. With an early stop, none whose text is final: it ends before any mask."""
    left = canvas.masked.any(1)
    if not sampling.stop_early:
        return left
    is_end = torch.isin(canvas.response, torch.tensor(ends, device=left.device)) & ~canvas.masked
    return left & ~(is_end.any(1) & (is_end.int().argmax(1) < canvas.masked.int().argmax(1)))


def _laid_out(read: Tensor, values: Tensor) -> Tensor:
    """[batch, length] with `values` at the True cells of `read`, 0 elsewhere."""
    laid_out = values.new_zeros(read.shape)
    laid_out[read] = values
    return laid_out
