"""The likelihood bound against what can be computed exactly on the tiny base."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gift_core.data.tokenisation import Encoder
from gift_core.likelihood import log_likelihood_bound, mask_draws
from gift_core.models.loading import DiffusionModel
from gift_core.tasks import countdown

PROBLEM = countdown.generate(0, "standard", 0, 1)[1][0]


def log_p(model: DiffusionModel, prompt: list[int], answer: list[int], masked: tuple[int, ...]) -> torch.Tensor:
    """log p of the tokens at `masked`, in one plain forward pass."""
    ids = torch.tensor([prompt + answer])
    ids[0, [len(prompt) + place for place in masked]] = model.mask_id
    with torch.no_grad():
        found = model.network(ids).logits[0, len(prompt) :].log_softmax(-1)
    return torch.stack([found[place, answer[place]] for place in masked])


def test_one_token_is_exact_and_several_agree_with_the_sum_over_all_masks(tiny: DiffusionModel) -> None:
    encoder = Encoder(tiny.tokenizer)
    prompt, answer = encoder.prompt(PROBLEM.prompt), encoder.text("7+1")
    one = log_likelihood_bound(tiny, prompt, answer[:1], samples=3, seed=0, rows=2)
    assert one == pytest.approx(log_p(tiny, prompt, answer[:1], (0,)).item(), rel=1e-4)
    n = len(answer)
    exact = sum(
        np.mean([log_p(tiny, prompt, answer, places).sum().item() for places in combinations(range(n), count)]) / count
        for count in range(1, n + 1)
    )
    draws = [log_likelihood_bound(tiny, prompt, answer, samples=6, seed=seed, rows=6) for seed in range(40)]
    assert np.mean(draws) == pytest.approx(exact, abs=4 * np.std(draws) / 40**0.5)


def test_rows_at_a_time_change_nothing_and_the_seed_does(tiny: DiffusionModel) -> None:
    encoder = Encoder(tiny.tokenizer)
    prompt, answer = encoder.prompt(PROBLEM.prompt), encoder.text("7+1-2")
    one, other = (log_likelihood_bound(tiny, prompt, answer, samples=8, seed=0, rows=rows) for rows in (8, 3))
    assert one == pytest.approx(other, rel=1e-4)
    assert log_likelihood_bound(tiny, prompt, answer, samples=8, seed=1, rows=8) != pytest.approx(one, rel=1e-4)
    assert log_likelihood_bound(tiny, prompt, [], samples=8, seed=0, rows=8) == 0


@given(length=st.integers(1, 40), samples=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_number_of_masked_tokens_has_its_share(length: int, samples: int, seed: int) -> None:
    masked = mask_draws(length, samples, seed)
    times = np.bincount(masked.sum(1), minlength=length + 1)
    assert times[0] == 0
    assert (np.abs(times[1:] - samples / length) < 1 + 1e-9).all()


def test_no_position_is_preferred() -> None:
    assert mask_draws(9, 400, 3).mean(0) == pytest.approx(5 / 9, abs=0.1)
