"""What our training step saves against the plain recipe: SFT on the same examples in both, in time and in memory.

The plain recipe is the one that everyone uses: logits of all positions, an fp32 cross-entropy over them, then the mask
and 1/t. Its batches are random, and padded either to the maximum length or to their longest. Ours are bucketed, padded
to their longest, and read the head at masked positions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import torch
from _common import (
    BATCH_SIZE,
    MAX_LENGTH,
    SEED,
    Shape,
    TrainingStep,
    alternate,
    autocast,
    gsm8k_batches,
    peak_bytes,
    print_heading,
    print_table,
    random_model,
    ratio,
    use_one_thread,
)
from torch import Tensor
from torch.nn import functional

from gift_core.data.collation import NoisyExample, collate
from gift_core.models.loading import DiffusionModel
from gift_core.spec import ObjectiveSpec

OURS = "ours"
# How long the plain recipe's batches are: at least this.
PLAIN = {"max": MAX_LENGTH, "longest": 0}


@dataclass(frozen=True)
class Case:
    """A shape, and how much of an epoch is measured how often."""

    shape: Shape
    batches: int
    rounds: int


# How much there is to save depends on the head's share of the model.
CASES = (
    Case(Shape(32_000, width=256, mlp=768), batches=4, rounds=2),
    Case(Shape(32_000), batches=4, rounds=1),
    Case(Shape(126_464), batches=3, rounds=1),
)
# The least speed-up against each plain recipe, and the most of its memory.
SPEED_UP = {"max": 4.5, "longest": 3.0}
MEMORY = 0.5


class PlainStep:
    """Forward and backward pass of the plain recipe on one batch, padded to `length` or to its longest."""

    def __init__(self, model: DiffusionModel, length: int) -> None:
        self.model = model
        self.length = length

    def loss(self, items: Sequence[NoisyExample]) -> Tensor:
        """sum over masked i of CE_i / t, divided by the batch's response tokens."""
        batch = collate(items, self.model.eos_id)
        more = (0, max(0, self.length - batch.input_ids.shape[1]))
        targets = functional.pad(batch.input_ids, more, value=self.model.eos_id)
        attention_mask = functional.pad(batch.attention_mask, more)
        response_mask = functional.pad(batch.response_mask, more)
        t = batch.t[:, None]
        masked = (functional.pad(batch.u, more) < t) & response_mask
        input_ids = targets.masked_fill(masked, self.model.mask_id)
        logits = self.model.network(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        losses = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return (losses.view_as(targets) * masked / t).sum() / response_mask.sum()

    def __call__(self, items: Sequence[NoisyExample]) -> None:
        self.model.network.zero_grad(set_to_none=True)
        with autocast():
            loss = self.loss(items)
        loss.backward()


def steps_of(model: DiffusionModel) -> dict[str, PlainStep | TrainingStep]:
    """Each recipe's step."""
    plain = {name: PlainStep(model, length) for name, length in PLAIN.items()}
    return {**plain, OURS: sft_step(model)}


def sft_step(model: DiffusionModel) -> TrainingStep:
    """Our recipe's step."""
    return TrainingStep(model, ObjectiveSpec(method="sft"))


def batches_of(case: Case) -> dict[str, list[list[NoisyExample]]]:
    """Each recipe's batches of the same examples."""
    bucketed = gsm8k_batches(case.shape.vocabulary, case.batches)
    examples = [item for items in bucketed for item in items]
    order = np.random.default_rng(SEED).permutation(len(examples))
    shuffled = [[examples[index] for index in part] for part in np.split(order, case.batches)]
    return dict.fromkeys(PLAIN, shuffled) | {OURS: bucketed}


def check_agreement(model: DiffusionModel, items: Sequence[NoisyExample]) -> None:
    """Raise unless all recipes give the same loss and gradients on one batch; in fp32, where they can."""
    (expected, gradients), *others = (_loss_and_gradients(model, step.loss, items) for step in steps_of(model).values())
    for loss, found in others:
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
        for name, gradient in gradients.items():
            error = float((found[name] - gradient).norm() / gradient.norm())
            assert error < 1e-4, f"the gradients of {name} differ by {error:.1e} of their norm"


def _loss_and_gradients(
    model: DiffusionModel, loss_of: Callable[[Sequence[NoisyExample]], Tensor], items: Sequence[NoisyExample]
) -> tuple[Tensor, dict[str, Tensor]]:
    model.network.zero_grad(set_to_none=True)
    loss = loss_of(items)
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in model.network.named_parameters()}


def bound(
    shape: Shape, sft: TrainingStep, batches: Mapping[str, Sequence[Sequence[NoisyExample]]], plain: str
) -> float:
    """How many times as many multiply-adds the plain recipe makes: forward ones, as each brings two more backward."""
    ours = theirs = 0
    for items in batches[OURS]:
        noised = sft.noised(collate(items, sft.model.eos_id))
        ours += shape.body(*noised.input_ids.shape) + shape.head(len(noised.positions))
    for items in batches[plain]:
        length = max(PLAIN[plain], *(len(item.example.input_ids) for item in items))
        theirs += shape.body(len(items), length) + shape.head(len(items) * length)
    return theirs / ours


def measure_time(case: Case) -> list[list[str]]:
    """The table's rows of one case."""
    model = random_model(case.shape)
    batches = batches_of(case)
    shortest = batches[OURS][0][:2]
    check_agreement(model, shortest)
    steps = steps_of(model)
    for step in steps.values():
        step(shortest)
    seconds = alternate(
        {name: [partial(step, items) for items in batches[name]] for name, step in steps.items()}, case.rounds
    )
    examples = case.rounds * case.batches * BATCH_SIZE
    return [
        [
            str(case.shape),
            f"{case.shape.head_share():.2f}",
            name,
            f"{examples / sum(seconds[name]):.2f}",
            f"{examples / sum(seconds[OURS]):.2f}",
            f"{ratio(seconds[name], seconds[OURS]):.2f}",
            f"{bound(case.shape, sft_step(model), batches, name):.2f}",
            f">= {target:.1f}",
        ]
        for name, target in SPEED_UP.items()
    ]


def working_memory(case: Case, recipe: str) -> int:
    """Bytes that the largest batch of `recipe` needs beyond weights and gradients.

    What is subtracted is what is resident once weights and gradients are there and a tiny step has loaded the
    libraries' code: every recipe holds as much. Gradients stay in place, as in a later micro-batch of an accumulated
    step: a step that begins without them would take credit for their room.
    """
    model = random_model(case.shape)
    step, batches = steps_of(model)[recipe], batches_of(case)[recipe]
    largest = max(batches, key=lambda items: max(len(item.example.input_ids) for item in items))
    for weight in model.network.parameters():
        weight.grad = torch.ones_like(weight)
    with autocast():
        model.network(input_ids=torch.zeros(1, 1, dtype=torch.long)).logits.sum().backward()

    def accumulate() -> None:
        with autocast():
            loss = step.loss(largest)
        loss.backward()

    return peak_bytes(accumulate)


def measure_memory(case: Case) -> list[list[str]]:
    """The table's rows of one case. Each recipe runs in a process of its own, where nothing else comes and goes."""
    # One process at a time, and a fresh one for each: two of the largest might not fit side by side.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        recipes = (*PLAIN, OURS)
        found = pool.map(working_memory, repeat(case), recipes)
        peaks = {recipe: peak / 2**20 for recipe, peak in zip(recipes, found, strict=True)}
    return [
        [
            str(case.shape),
            name,
            f"{peaks[name]:,.0f}",
            f"{peaks[OURS]:,.0f}",
            f"{peaks[OURS] / peaks[name]:.2f}",
            f"<= {MEMORY:.2f}",
        ]
        for name in PLAIN
    ]


def main() -> None:
    """Print both tables."""
    use_one_thread()
    print_heading(f"Throughput of our SFT step against the plain recipe's, padded to {MAX_LENGTH} or to the longest")
    print("head: its share of the weights that multiply; bound: the plain step's multiply-adds over ours")
    heads = ["vocabulary / body", "head", "padded to", "plain ex/s", "ours ex/s", "ours / plain", "bound", "target"]
    print_table(heads, [row for case in CASES for row in measure_time(case)])
    print("\nPeak memory of a step, less weights and gradients, with all threads")
    heads = ["vocabulary / body", "padded to", "plain MiB", "ours MiB", "ours / plain", "target"]
    print_table(heads, [row for case in CASES[1:] for row in measure_memory(case)])


if __name__ == "__main__":
    main()
