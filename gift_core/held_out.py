"""The evaluation loss: deterministic, and the standard objective for every method, so that curves can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gift_core.data.collation import Batch, NoisyExample, collate
from gift_core.data.noising import NoisedBatch, batch_rates, noise
from gift_core.data.tokenisation import TokenisedExample
from gift_core.models.forward import evaluating, read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import DiffusionModel
from gift_core.noise import evaluation_noise
from gift_core.objectives import RECIPES, masking_rate, mean_rate, rate_sums
from gift_core.scores import pick
from gift_core.spec import ObjectiveSpec

# Midpoints of four equal parts of (0, 1): the midpoint rule for the integral over t.
TIME_GRID = (0.125, 0.375, 0.625, 0.875)
STANDARD = ObjectiveSpec(method="sft")

# The scores of some batches, fp32 [2, batch, length] each.
ScoresOf = Callable[[nn.Module, Sequence[Batch]], list[Tensor]]
# An example and which time of the grid it is seen at.
_Draw = tuple[TokenisedExample, int]


class HeldOutLoss:
    """Losses on held-out examples at fixed times with fixed uniforms: the same draws for every run and every method.

    `rows` sequences go through the model at once, in bf16 with `autocast`; of several processes each takes its share,
    and `add_up` sums a vector over all of them.
    """

    def __init__(
        self,
        model: DiffusionModel,
        examples: Sequence[TokenisedExample],
        rows: int,
        *,
        autocast: bool,
        rank: int = 0,
        world_size: int = 1,
        add_up: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        self._model = model
        self._rows = rows
        self._autocast = autocast
        self._rank, self._world_size, self._add_up = rank, world_size, add_up
        by_length = sorted(examples, key=lambda example: (len(example.input_ids), example.id))
        times = range(len(TIME_GRID))
        self._every_time = [(example, time) for example in by_length for time in times]
        self._one_time = [(example, place % len(times)) for place, example in enumerate(by_length)]

    def standard(self, network: nn.Module) -> float:
        """Nats per response token: mean over the t grid of sum CE_i / t over masked i, whatever was trained."""
        chunks = self._mine(self._every_time)
        return self._mean(network, STANDARD, chunks, [None] * len(chunks), seed=0)

    def own(self, network: nn.Module, objective: ObjectiveSpec, scores_of: ScoresOf, seed: int) -> float:
        """The method's own loss in the same measure, each example at one time of the grid, since it may need a probe.

        Not to be compared between methods.
        """
        chunks = self._mine(self._one_time)
        score = RECIPES[objective.method].score
        if score is None:
            return self._mean(network, objective, chunks, [None] * len(chunks), seed)
        scores = [pick(scores_of(network, [self._batch(chunk)])[0], score) for chunk in chunks]
        return self._mean(network, objective, chunks, scores, seed)

    def _mine(self, draws: list[_Draw]) -> list[list[_Draw]]:
        chunks = [draws[start : start + self._rows] for start in range(0, len(draws), self._rows)]
        # Every process makes as many forward passes as the others, for those that wait for each other in them.
        chunks += [[]] * (-len(chunks) % self._world_size)
        return chunks[self._rank :: self._world_size]

    def _batch(self, draws: Sequence[_Draw]) -> Batch:
        items = [
            NoisyExample(example, TIME_GRID[time], evaluation_noise(example.id, time, example.response_length))
            for example, time in draws
        ]
        return collate(items, self._model.eos_id)

    @torch.no_grad()
    def _mean(
        self,
        network: nn.Module,
        objective: ObjectiveSpec,
        chunks: Sequence[Sequence[_Draw]],
        scores: Sequence[Tensor | None],
        seed: int,
    ) -> float:
        reference = self._reference(objective, chunks, scores)
        losses, tokens = [], 0
        with evaluating(network):
            for chunk, score in zip(chunks, scores, strict=True):
                batch = self._batch(chunk)
                tokens += int(batch.response_mask.sum())
                relative = batch_rates(objective, batch, score, seed, reference)
                losses.append(self._loss(network, noise(objective, batch, relative, self._model.mask_id)))
        mine = torch.stack(losses).cpu().double().sum()
        loss, counted = self._add_up(torch.stack([mine, torch.tensor(float(tokens)).double()])).tolist()
        return float(loss / counted)

    def _reference(
        self, objective: ObjectiveSpec, chunks: Sequence[Sequence[_Draw]], scores: Sequence[Tensor | None]
    ) -> Tensor | None:
        """beta_ref where it is the mean over a batch: here, over all held-out examples."""
        if objective.reference != "batch":
            return None
        sums = torch.zeros(2, dtype=torch.float64)
        for chunk, score in zip(chunks, scores, strict=True):
            if score is not None:
                sums += rate_sums(masking_rate(score, objective.power), self._batch(chunk).response_mask)
        return mean_rate(self._add_up(sums))

    def _loss(self, network: nn.Module, noised: NoisedBatch) -> Tensor:
        device = self._model.device
        inputs = {name: value.to(device, non_blocking=True) for name, value in noised.model_inputs().items()}
        read = partial(weighted_cross_entropy, targets=inputs["targets"], weights=inputs["weights"])
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._autocast):
            loss, _ = read_head(
                network,
                inputs["input_ids"],
                inputs["attention_mask"],
                inputs["positions"],
                read,
                self._model.logit_shift,
            )
        return loss
