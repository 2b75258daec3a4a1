"""Every method against its definition, written once more in fp64, position by position, with all logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gift_core.data.collation import Draw, NoisyDataset, NoisyExample
from gift_core.models.loading import DiffusionModel
from gift_core.noise import response_permutation
from gift_core.run import prepare
from gift_core.spec import ObjectiveSpec, RunSpec
from tests.gift_core.one_batch import OneBatch


class Definition:
    """The loss of one batch from design section 3, for one method."""

    def __init__(self, model: DiffusionModel, objective: ObjectiveSpec) -> None:
        self.network = model.network.double().eval()
        self.mask_id = model.mask_id
        self.objective = objective

    def loss(self, items: list[NoisyExample]) -> Tensor:
        return torch.stack([self._sequence(item) for item in items]).sum()

    def _sequence(self, item: NoisyExample) -> Tensor:
        ids = torch.tensor([item.example.input_ids])
        response = range(item.example.prompt_length, len(item.example.input_ids))
        rates = self._rates(ids, item)
        probability = [self._probability(item.t, rate) for rate in rates]
        masked = [i for k, i in enumerate(response) if float(item.u[k]) < probability[k]]
        noised = ids.clone()
        noised[0, masked] = self.mask_id
        log_p = self.network(noised).logits[0].log_softmax(-1)
        total = log_p.new_zeros(())
        for k, i in enumerate(response):
            if i in masked:
                weight = self._weight(item.t, rates[k], probability[k], i, masked, ids.shape[1])
                total = total - weight * log_p[i, ids[0, i]]
        return total

    @torch.no_grad()
    def _rates(self, ids: Tensor, item: NoisyExample) -> list[float]:
        """r_i of each response token."""
        start, length = item.example.prompt_length, item.example.response_length
        if self.objective.method in ("sft", "cart"):
            return [1.0] * length
        probe = ids.clone()
        probe[0, start:] = self.mask_id
        log_p = self.network(probe).logits[0, start:].log_softmax(-1)
        score = -(log_p.exp() * log_p).sum(-1)
        if self.objective.method == "nll":
            score = -log_p.gather(1, ids[0, start:, None])[:, 0]
        beta = score**self.objective.power
        rates = (beta / beta.mean()).tolist()
        if self.objective.method == "shuffled":
            return [rates[k] for k in response_permutation(1, item.example.id, length)]
        return rates

    def _probability(self, t: float, rate: float) -> float:
        return t if self.objective.method in ("simple", "cart") else 1 - (1 - t) ** rate

    def _weight(self, t: float, rate: float, probability: float, i: int, masked: list[int], length: int) -> float:
        if self.objective.method == "simple":
            return rate / t
        if self.objective.method == "cart":
            visible = [j for j in range(length) if j not in masked and j != i]
            return sum(0.5 * 0.1 * 0.9 ** (abs(i - j) - 1) for j in visible)
        if self.objective.weighting == "elbo":
            return rate * (1 - t) ** (rate - 1) / probability
        return 1 / probability


@pytest.fixture
def items(small_run: RunSpec) -> list[NoisyExample]:
    prepared = prepare(small_run.replace({"data.held_out": 0}), Path)
    dataset = NoisyDataset(prepared.training.examples, seed=1, eos_id=prepared.model.eos_id)
    return [dataset[Draw(index, 0)] for index in range(6)]


METHODS: list[dict[str, Any]] = [
    *({"method": method} for method in ("sft", "gift", "shuffled", "nll", "simple", "cart")),
    {"method": "gift", "weighting": "elbo"},
    {"method": "gift", "power": 1.0},
]


@pytest.mark.parametrize("changes", METHODS, ids=lambda changes: "-".join(map(str, changes.values())))
def test_loss_and_gradient_equal_the_definition(
    items: list[NoisyExample], tiny: DiffusionModel, changes: dict[str, Any]
) -> None:
    objective = ObjectiveSpec.parse(changes)
    found, gradients = OneBatch(tiny, objective)(items)
    network = tiny.network
    definition = Definition(tiny, objective)
    network.zero_grad()
    loss = definition.loss(items)
    loss.backward()
    assert found == pytest.approx(loss.item(), rel=1e-4)
    for name, parameter in network.named_parameters():
        difference = (gradients[name].double() - parameter.grad).norm()
        assert difference <= 2e-4 * parameter.grad.norm(), name
