"""The method on one batch, with the trainer left aside."""

from __future__ import annotations

from functools import partial

from gift_core.data.collation import NoisyExample, collate
from gift_core.data.noising import batch_rates, noise
from gift_core.models.forward import read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import RECIPES
from gift_core.scores import pick, probe
from gift_core.spec import ObjectiveSpec
from tests.gift_core.steps import Gradients


class OneBatch:
    """The loss and gradients of a batch of examples, the trainer left aside."""

    def __init__(self, model: DiffusionModel, objective: ObjectiveSpec) -> None:
        self.model, self.objective = model, objective

    def __call__(self, items: list[NoisyExample], chunk: int = 2**24) -> tuple[float, Gradients]:
        batch = collate(items, self.model.eos_id)
        self.model.network.eval()
        (scores,) = probe(self.model, self.model.network, [batch], autocast=False)
        score = RECIPES[self.objective.method].score
        relative = batch_rates(self.objective, batch, pick(scores, score) if score else None, seed=1)
        noised = noise(self.objective, batch, relative, self.model.mask_id)
        inputs = noised.model_inputs()
        self.model.network.zero_grad(set_to_none=True)
        loss, _ = read_head(
            self.model.network,
            inputs["input_ids"],
            inputs["attention_mask"],
            inputs["positions"],
            partial(weighted_cross_entropy, targets=inputs["targets"], weights=inputs["weights"], chunk=chunk),
        )
        loss.backward()
        gradients = {name: part.grad.clone() for name, part in self.model.network.named_parameters()}
        return loss.item(), gradients
