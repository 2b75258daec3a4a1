"""The denoiser: fill a fully masked response block by block, most confident positions first.

Source: LLaDA's published sampler (arXiv 2502.09992), with logits computed only where they are read and noise keyed by
(seed, step, position), so that two checkpoints see the same draws and a row does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gift_core.models.forward import logits_at
from gift_core.models.loading import DiffusionModel
from gift_core.noise import Stream, generator, uniforms
from gift_core.spec import SamplingSpec


@dataclass(frozen=True)
class Step:
    """One denoising step. Arrays are [batch, length] over the response.

    `logits` [n, vocabulary] belong to the True cells of `read`, in row-major order; `tokens` hold the response after
    the step.
    """

    index: int
    read: Tensor
    logits: Tensor
    committed: Tensor
    tokens: Tensor


def commits_per_step(block_length: int, steps: int) -> list[int]:
    """How many positions each step of a block commits: the first `block_length % steps` steps one more."""
    share, more = divmod(block_length, steps)
    return [share + (step < more) for step in range(steps)]


@torch.inference_mode()
def denoise_steps(
    model: DiffusionModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingSpec,
    seed: int = 0,
    *,
    read_everything: bool = False,
) -> Iterator[Step]:
    """Denoise a batch of prompts, one `Step` at a time; stop iterating to cancel.

    `read_everything` computes logits for every masked position of the response (a trace shows them), not only for the
    active block. The tokens are the same either way.
    """
    canvas = _Canvas(model, prompts, sampling.length)
    blocks = sampling.length // sampling.block_length
    counts = commits_per_step(sampling.block_length, sampling.steps // blocks)
    for block in range(blocks):
        active = torch.zeros(sampling.length, dtype=torch.bool, device=model.device)
        active[block * sampling.block_length : (block + 1) * sampling.block_length] = True
        for step, count in enumerate(counts, start=block * len(counts)):
            open_positions = canvas.masked & active
            read = canvas.masked.clone() if read_everything else open_positions
            logits = canvas.logits(read)
            # Every row has as many open positions as its neighbours: the schedule is the same for all.
            candidates = logits[open_positions[read]].view(len(prompts), -1, logits.shape[-1])
            columns = open_positions.nonzero()[:, 1].view(len(prompts), -1)
            choice, confidence = _choose(candidates, columns, sampling, seed, step)
            order = confidence.topk(count, dim=1).indices
            committed = torch.zeros_like(canvas.masked).scatter_(1, columns.gather(1, order), True)
            canvas.write(columns.gather(1, order), choice.gather(1, order))
            yield Step(step, read, logits, committed, canvas.response.clone())


def denoise(
    model: DiffusionModel, prompts: Sequence[Sequence[int]], sampling: SamplingSpec, seed: int = 0
) -> list[list[int]]:
    """Token ids of each prompt's response, [batch][length]."""
    steps = list(denoise_steps(model, prompts, sampling, seed))
    return steps[-1].tokens.tolist()


class _Canvas:
    """The batch being denoised: prompts followed by their response window, padded on the right."""

    def __init__(self, model: DiffusionModel, prompts: Sequence[Sequence[int]], length: int) -> None:
        self.model = model
        starts = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        width = int(starts.max()) + length
        self.ids = torch.full((len(prompts), width), model.eos_id, device=model.device)
        for row, prompt in enumerate(prompts):
            self.ids[row, : len(prompt)] = torch.tensor(prompt, device=model.device)
        self.window = starts[:, None] + torch.arange(length, device=model.device)
        self.ids.scatter_(1, self.window, model.mask_id)
        positions = torch.arange(width, device=model.device)
        self.attention_mask = (positions < starts[:, None] + length).long()
        # Which positions are still masked, apart from their content: a model may predict the mask token itself.
        self.masked = torch.ones(len(prompts), length, dtype=torch.bool, device=model.device)

    @property
    def response(self) -> Tensor:
        return self.ids.gather(1, self.window)

    def logits(self, read: Tensor) -> Tensor:
        positions = torch.zeros_like(self.ids, dtype=torch.bool).scatter_(1, self.window, read)
        return logits_at(self.model.network, self.ids, self.attention_mask, positions, self.model.logit_shift)

    def write(self, columns: Tensor, tokens: Tensor) -> None:
        self.ids.scatter_(1, self.window.gather(1, columns), tokens)
        self.masked.scatter_(1, columns, False)


def _choose(logits: Tensor, columns: Tensor, sampling: SamplingSpec, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """The token for each open position and how sure the model is of it: [batch, open, vocabulary] -> [batch, open]."""
    logits = logits.float()
    noisy = logits
    if sampling.temperature > 0:
        noisy = logits + sampling.temperature * _gumbel(columns, seed, step, logits.shape[-1])
    choice = noisy.argmax(-1)
    if sampling.remasking == "random":
        return choice, _uniform_confidence(columns, seed, step)
    return choice, logits.softmax(-1).gather(-1, choice[..., None])[..., 0]


def _gumbel(columns: Tensor, seed: int, step: int, vocabulary: int) -> Tensor:
    """Gumbel noise [batch, open, vocabulary]; rows that look at one position share its draws."""
    draws = {
        column: -np.log(-np.log(uniforms(generator(Stream.SAMPLING, seed, column, step), vocabulary + 1)[1:]))
        for column in set(columns.flatten().tolist())
    }
    noise = np.stack([draws[column] for column in columns.flatten().tolist()])
    return torch.from_numpy(noise).to(columns.device).view(*columns.shape, vocabulary)


def _uniform_confidence(columns: Tensor, seed: int, step: int) -> Tensor:
    """A uniform [batch, open] for each position, from the draw in front of its Gumbel noise."""
    values = [
        float(uniforms(generator(Stream.SAMPLING, seed, column, step), 1)[0]) for column in columns.flatten().tolist()
    ]
    return torch.tensor(values, device=columns.device).view(columns.shape)


def text_of(model: DiffusionModel, ids: Sequence[int]) -> str:
    """The response as text, up to its first end of turn or EOS."""
    ends = [i for i, token in enumerate(ids) if token in (model.eos_id, model.end_of_turn_id)]
    return str(model.tokenizer.decode(list(ids[: ends[0] if ends else None]), skip_special_tokens=False))


def maximum_entropy(vocabulary_size: int) -> float:
    """ln V, nats."""
    return math.log(vocabulary_size)
