"""LLaDA's published sampler as it is described: everything computed for every position, at every step, to the end.

Source: arXiv 2502.09992, algorithms 4 and 5, and the behaviour of the code published with it. Prompts of a batch have
one length, since nothing is padded.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gift_core.models.loading import DiffusionModel
from gift_core.spec import SamplingSpec


@torch.inference_mode()
def llada_steps(model: DiffusionModel, prompts: Tensor, sampling: SamplingSpec) -> Iterator[Tensor]:
    """The responses [batch, length] after each step, for `prompts` [batch, prompt length]."""
    batch, begin = prompts.shape
    ids = torch.cat([prompts, prompts.new_full((batch, sampling.length), model.mask_id)], 1)
    blocks = sampling.length // sampling.block_length
    for block in range(blocks):
        end = begin + (block + 1) * sampling.block_length
        counts = _counts(ids[:, end - sampling.block_length : end] == model.mask_id, sampling.steps // blocks)
        for count in counts.unbind(1):
            masked = ids == model.mask_id
            logits = _logits(model, ids, begin, sampling.cfg_scale)
            tokens = _noisy(logits, sampling.temperature).argmax(-1)
            confidence = _confidence(logits, tokens, sampling)
            confidence[:, end:] = -torch.inf
            confidence = torch.where(masked, confidence, -torch.inf)
            committed = torch.zeros_like(masked)
            for row in range(batch):
                committed[row, confidence[row].topk(int(count[row])).indices] = True
            ids[committed] = tokens[committed]
            yield ids[:, begin:]


def _counts(masked: Tensor, steps: int) -> Tensor:
    """How many tokens each step commits, [batch, steps]: equal shares, the first steps one more."""
    total = masked.sum(1, keepdim=True)
    return total // steps + (torch.arange(steps) < total % steps)


def _logits(model: DiffusionModel, ids: Tensor, begin: int, guidance: float) -> Tensor:
    """[batch, length, vocabulary]; guided away from what is said without the prompt, in one batch twice as large."""
    if not guidance:
        return model.network(ids).logits
    unprompted = ids.clone()
    unprompted[:, :begin] = model.mask_id
    with_prompt, without = model.network(torch.cat([ids, unprompted])).logits.chunk(2)
    return without + (guidance + 1) * (with_prompt - without)


def _noisy(logits: Tensor, temperature: float) -> Tensor:
    """What the tokens are the largest of: Gumbel noise as a quotient, in fp64; at temperature 0 the logits."""
    if temperature == 0:
        return logits
    logits = logits.double()
    return logits.exp() / (-torch.rand_like(logits).log()) ** temperature


def _confidence(logits: Tensor, tokens: Tensor, sampling: SamplingSpec) -> Tensor:
    if sampling.remasking == "random":
        return torch.rand(tokens.shape)
    return logits.softmax(-1).gather(-1, tokens[..., None])[..., 0]
