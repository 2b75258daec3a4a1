"""What the views will draw, counted per token."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gift_core.accounting import Accounts, shares_by_decile
from gift_core.data.collation import NoisyExample, collate
from gift_core.data.noising import NoisedBatch, batch_rates, noise
from gift_core.data.tokenisation import TokenisedExample
from gift_core.noise import training_noise
from gift_core.objectives import RECIPES
from gift_core.spec import ObjectiveSpec

VOCABULARY, EOS, MASK = 100, 0, 1


def noised_batch(rows: int, objective: ObjectiveSpec, seed: int = 0) -> NoisedBatch:
    """A batch with random entropies, where the method has a probe."""
    examples = [TokenisedExample(i, tuple(range(5, 45)), prompt_length=8, tail_length=4) for i in range(rows)]
    batch = collate([NoisyExample(item, *training_noise(seed, item.id, 0, 32)) for item in examples], EOS)
    generator = torch.Generator().manual_seed(seed)
    entropy = torch.rand(batch.input_ids.shape, generator=generator) ** 3 * math.log(VOCABULARY) * batch.response_mask
    if RECIPES[objective.method].score is None:
        return noise(objective, batch, batch_rates(objective, batch, None, seed=1), MASK)
    return noise(objective, batch, batch_rates(objective, batch, entropy, seed=1), MASK, entropy=entropy)


def test_quantiles_ratios_and_shares_are_those_of_the_tokens() -> None:
    noised = noised_batch(200, ObjectiveSpec())
    entropy = noised.entropy
    assert entropy is not None
    response, masked = noised.batch.response_mask, noised.corruption.masked
    losses = torch.rand(len(noised.positions), generator=torch.Generator().manual_seed(3))
    accounts = Accounts(math.log(VOCABULARY))
    accounts.add(1, noised, losses)
    found = accounts.metrics()

    assert found["mask_ratio"] == pytest.approx(masked.sum().item() / response.sum().item())
    assert found["mean_entropy"] == pytest.approx(entropy[response].mean().item(), rel=1e-5)
    for share in (0.1, 0.5, 0.9):
        name = f"p{round(100 * share)}"
        for key, values, tolerance in (
            ("entropy", entropy, 0.02),
            ("relative_rate", noised.relative, 0.02),
            ("masking_probability", noised.corruption.probability, 0.005),
        ):
            assert found[f"{key}_{name}"] == pytest.approx(values[response].quantile(share).item(), abs=tolerance)
    weighted = (losses * noised.corruption.weight).double()
    tail = weighted[noised.batch.tail_mask[masked]].sum() / weighted.sum()
    assert found["tail_loss_share"] == pytest.approx(tail.item())
    shares = [found[f"loss_share_decile_{decile}"] for decile in range(1, 11)]
    edges = torch.quantile(entropy[response], torch.linspace(0, 1, 11))
    places = torch.bucketize(entropy[masked], edges[1:-1])
    exact = [(weighted[places == decile].sum() / weighted.sum()).item() for decile in range(10)]
    assert shares == pytest.approx(exact, abs=0.01)


def test_a_report_starts_again_and_processes_add_up() -> None:
    parts = [noised_batch(20, ObjectiveSpec(), seed) for seed in range(2)]
    losses = [torch.ones(len(noised.positions)) for noised in parts]
    together, alone = Accounts(math.log(VOCABULARY)), [Accounts(math.log(VOCABULARY)) for _ in parts]
    vectors: list[torch.Tensor] = []
    for noised, loss, account in zip(parts, losses, alone, strict=True):
        together.add(1, noised, loss)
        account.add(1, noised, loss)
    alone[0].metrics(lambda sums: vectors.append(sums) or sums)
    added = alone[1].metrics(lambda sums: sums + vectors[0])
    whole = together.metrics()
    timed = ("tokens_per_second", "peak_memory_bytes")
    assert {k: v for k, v in added.items() if k not in timed} == pytest.approx(
        {k: v for k, v in whole.items() if k not in timed}
    )
    assert together.metrics()["mask_ratio"] == 0, "what was reported is not reported again"


def test_sft_has_masking_probabilities_and_no_entropies() -> None:
    noised = noised_batch(5, ObjectiveSpec(method="sft"))
    accounts = Accounts(math.log(VOCABULARY))
    accounts.add(1, noised, torch.ones(len(noised.positions)))
    found = accounts.metrics()
    assert "masking_probability_p50" in found
    assert not [name for name in found if name.startswith(("entropy", "relative", "loss_share", "mean"))]


def test_the_first_bad_loss_is_found_with_its_example() -> None:
    accounts = Accounts(math.log(VOCABULARY))
    for step in (1, 2, 3):
        noised = noised_batch(4, ObjectiveSpec(), seed=step)
        losses = torch.ones(len(noised.positions))
        if step > 1:
            row = int(noised.positions[-1]) // noised.input_ids.shape[1]
            losses[-1] = math.inf
        accounts.add(step, noised, losses)
    bad = accounts.first_bad()
    assert bad is not None
    assert bad.step == 2
    assert bad.culprits == (row,)
    assert bad.examples == (0, 1, 2, 3)


def test_a_rate_that_is_no_number_is_found_though_it_masks_nothing() -> None:
    noised = noised_batch(2, ObjectiveSpec())
    broken = replace(noised, relative=torch.full_like(noised.relative, math.nan))
    accounts = Accounts(math.log(VOCABULARY))
    accounts.add(4, broken, torch.ones(len(noised.positions)))
    bad = accounts.first_bad()
    assert bad is not None
    assert (bad.what, bad.step, bad.examples) == ("masking rate", 4, (0, 1))


def test_what_is_accounted_for_is_what_is_trained() -> None:
    """With the `sequence` normaliser a token's share of the loss depends on the length of its response."""
    noised = noised_batch(3, ObjectiveSpec(method="sft"))
    scaled = replace(noised, weights=noised.weights * torch.linspace(0.1, 3, len(noised.weights)))
    accounts = Accounts(math.log(VOCABULARY))
    accounts.add(1, scaled, torch.ones(len(noised.positions)))
    tail = noised.batch.tail_mask[noised.corruption.masked]
    assert accounts.metrics()["tail_loss_share"] == pytest.approx(
        (scaled.weights[tail].sum() / scaled.weights.sum()).item()
    )


def test_a_gradient_that_is_not_finite_is_found_too() -> None:
    accounts = Accounts(math.log(VOCABULARY))
    accounts.add_norm(1, torch.tensor(2.0))
    assert accounts.first_bad() is None
    accounts.add_norm(2, torch.tensor(math.nan))
    bad = accounts.first_bad()
    assert bad is not None
    assert (bad.what, bad.step, bad.culprits) == ("gradient", 2, ())


def test_deciles_divide_a_bin_that_straddles_them() -> None:
    tokens, loss = np.array([0.0, 50.0, 0.0, 50.0]), np.array([0.0, 0.0, 0.0, 8.0])
    assert shares_by_decile(tokens, loss) == pytest.approx([0] * 5 + [0.2] * 5)
    assert shares_by_decile(tokens, np.zeros(4)) == [0.0] * 10
