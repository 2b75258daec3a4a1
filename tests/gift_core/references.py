"""The published samplers, written out plainly: one sequence, full logits of everything, a loop over its positions."""

from __future__ import annotations

import torch
from torch import Tensor

from gift_core.models.loading import DiffusionModel
from gift_core.spec import SamplingSpec


def whole_logits(model: DiffusionModel, ids: Tensor) -> Tensor:
    """[length, vocabulary], such that row i is about token i."""
    with torch.no_grad():
        logits = model.network(ids[None]).logits[0].float()
    if model.logit_shift:
        # What position i says is about the token after it.
        logits = torch.cat([logits[:1], logits[:-1]])
    return logits


def llada(
    model: DiffusionModel, prompt: list[int], sampling: SamplingSpec, given: dict[int, int] | None = None
) -> list[int]:
    """LLaDA's at temperature 0: blocks from left to right, equal shares per step, guidance by a prompt of masks."""
    ids, masked = _window(model, prompt, sampling, given or {})
    blocks = sampling.length // sampling.block_length
    steps = sampling.steps // blocks
    for block in range(blocks):
        begin = len(prompt) + block * sampling.block_length
        inside = range(begin, begin + sampling.block_length)
        total = sum(bool(masked[i]) for i in inside)
        for step in range(steps):
            logits = whole_logits(model, ids)
            if sampling.cfg_scale:
                unprompted = ids.clone()
                unprompted[[*range(len(prompt)), *(len(prompt) + i for i in given or {})]] = model.mask_id
                other = whole_logits(model, unprompted)
                logits = other + (sampling.cfg_scale + 1) * (logits - other)
            count = total // steps + (step < total % steps)
            tokens = logits.argmax(-1).tolist()
            confidence = logits.softmax(-1).max(-1).values.tolist()
            _commit(ids, masked, [(confidence[i], i) for i in inside if masked[i]], count, tokens)
    return ids[len(prompt) :].tolist()


def dream(model: DiffusionModel, prompt: list[int], sampling: SamplingSpec) -> list[int]:
    """Dream's at temperature 0: one window, as many of the masked positions per step as time passes."""
    ids, masked = _window(model, prompt, sampling, {})
    times = torch.linspace(1, 1e-3, sampling.steps + 1)
    for step in range(sampling.steps):
        left = int(masked.sum())
        count = left if step == sampling.steps - 1 else int(left * (1 - times[step + 1] / times[step]))
        logits = whole_logits(model, ids)
        probabilities = logits.softmax(-1)
        best = probabilities.topk(2).values
        confidence = {
            "low_confidence": best[:, 0],
            "topk_margin": best[:, 0] - best[:, 1],
            "entropy": (probabilities * logits.log_softmax(-1)).nan_to_num(0).sum(-1),
        }[sampling.remasking].tolist()
        _commit(
            ids, masked, [(confidence[i], i) for i in range(len(ids)) if masked[i]], count, logits.argmax(-1).tolist()
        )
    return ids[len(prompt) :].tolist()


def _window(
    model: DiffusionModel, prompt: list[int], sampling: SamplingSpec, given: dict[int, int]
) -> tuple[Tensor, Tensor]:
    ids = torch.tensor(prompt + [given.get(i, model.mask_id) for i in range(sampling.length)])
    masked = torch.tensor([False] * len(prompt) + [i not in given for i in range(sampling.length)])
    return ids, masked


def _commit(ids: Tensor, masked: Tensor, candidates: list[tuple[float, int]], count: int, tokens: list[int]) -> None:
    for _, position in sorted(candidates, key=lambda each: (-each[0], each[1]))[:count]:
        ids[position] = tokens[position]
        masked[position] = False
