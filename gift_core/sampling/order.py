"""Which open positions a step commits."""

from __future__ import annotations

import torch
from torch import Tensor

from gift_core.sampling.prediction import Predictions, position_uniforms
from gift_core.sampling.schedule import transfer_probabilities
from gift_core.spec import SamplingSpec


def chosen_at_random(sampling: SamplingSpec, seed: int, open_: Tensor, due: Tensor, steps: Tensor) -> Tensor | None:
    """The positions [batch, length] that are committed whatever the model says; None where it has a say.

    `due` and `steps` are [batch]: how many are to be committed, and the rows' own steps.
    """
    if sampling.remasking not in ("random", "origin"):
        return None
    rows, positions = open_.nonzero(as_tuple=True)
    uniform = torch.full(open_.shape, torch.inf, device=open_.device)
    uniform[rows, positions] = position_uniforms(seed, steps[rows], positions)
    if sampling.remasking == "random":
        return _first(-uniform, due) & open_
    blocks = sampling.length // sampling.block_length
    transfer = transfer_probabilities(sampling.steps // blocks).to(open_.device)
    return uniform < transfer[steps % len(transfer)][:, None]


def most_confident(sampling: SamplingSpec, open_: Tensor, due: Tensor, predictions: Predictions) -> Tensor:
    """The `due` [batch] most confident open positions of each row, and those that a faster mode adds: [batch, length].

    `predictions` are of the open positions, in row-major order. Of equally confident ones the first is taken.
    """
    confidence = torch.full(open_.shape, -torch.inf, device=open_.device)
    confidence[open_] = predictions.confidence
    if sampling.confidence_threshold is not None:
        due = due.maximum((confidence > sampling.confidence_threshold).sum(1))
    if sampling.entropy_bound is not None:
        due = due.maximum(_within_bound(confidence, open_, predictions.entropy, sampling.entropy_bound))
    return _first(confidence, due) & open_


def _first(values: Tensor, count: Tensor) -> Tensor:
    """The True cells of the `count` [batch] largest values in each row."""
    order = values.sort(dim=1, descending=True, stable=True).indices
    taken = torch.arange(values.shape[1], device=values.device) < count[:, None]
    return torch.zeros_like(taken).scatter_(1, order, taken)


def _within_bound(confidence: Tensor, open_: Tensor, entropy: Tensor, bound: float) -> Tensor:
    """How many positions, in order of confidence, have entropies whose sum without the largest is within `bound`."""
    uncertainty = torch.zeros_like(confidence)
    uncertainty[open_] = entropy
    order = confidence.sort(dim=1, descending=True, stable=True).indices
    ordered = uncertainty.gather(1, order)
    shared = ordered.cumsum(1) - ordered.cummax(1).values
    return ((shared <= bound) & open_.gather(1, order)).sum(1)
