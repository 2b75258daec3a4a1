"""How often a token is masked and what it weighs, against the definitions and against numerical integration."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from gift_core.masking_frequency import masking_at, masking_over_time
from gift_core.noise import MINIMUM_TIME
from gift_core.spec import Weighting

both = pytest.mark.parametrize("weighting", ["inverse", "elbo"])


def rates(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@both
@given(t=st.floats(1e-3, 0.999), r=st.floats(1e-6, 30))
def test_at_one_time_the_product_is_one_or_the_density(weighting: Weighting, t: float, r: float) -> None:
    found = masking_at(t, rates(r), weighting)
    assert found.frequency.item() == pytest.approx(-math.expm1(r * math.log1p(-t)), rel=1e-12)
    wanted = 1.0 if weighting == "inverse" else r * (1 - t) ** (r - 1)
    assert found.product.item() == pytest.approx(wanted, rel=1e-9)


@both
@pytest.mark.parametrize("r", [0.5, 1.0, 3.5])
def test_over_time_is_the_integral_over_uniform_t(weighting: Weighting, r: float) -> None:
    def mean(name: str) -> float:
        # Over s = -log(1-t): the pole that a small rate has at t = 1 is gone.
        def integrand(s: float) -> float:
            return float(getattr(masking_at(-math.expm1(-s), rates(r), weighting), name)) * math.exp(-s)

        # Where t is still below 1 in fp64; what is left out is at most e**-15.
        return quad(integrand, -math.log1p(-MINIMUM_TIME), 30)[0] / (1 - MINIMUM_TIME)

    found = masking_over_time(rates(r), weighting)
    assert found.frequency.item() == pytest.approx(mean("frequency"), rel=1e-6)
    assert found.product.item() == pytest.approx(mean("product"), rel=1e-6)
    assert found.weight.item() == pytest.approx(found.product.item() / found.frequency.item())


def test_over_all_times_a_token_counts_as_much_as_any_other_whatever_its_rate() -> None:
    relative = rates(0.01, 0.5, 1.0, 4.0)
    assert torch.equal(masking_over_time(relative, "inverse").product, torch.ones(4, dtype=torch.float64))
    # The elbo's density is lost below the least time only.
    torch.testing.assert_close(masking_over_time(relative, "elbo").product, (1 - MINIMUM_TIME) ** (relative - 1))
    torch.testing.assert_close(masking_over_time(relative, "elbo", 1e-12).product, torch.ones(4, dtype=torch.float64))


def test_sft_masks_half_the_tokens_and_weighs_alike() -> None:
    for weighting in ("inverse", "elbo"):
        found = masking_over_time(rates(1.0), weighting)
        assert found.frequency.item() == pytest.approx((1 + MINIMUM_TIME) / 2)
        assert found.product.item() == 1.0


@both
def test_a_token_that_is_never_masked_counts_nothing(weighting: Weighting) -> None:
    for found in (masking_at(0.5, rates(0.0, 1.0), weighting), masking_over_time(rates(0.0, 1.0), weighting)):
        assert (found.frequency[0], found.weight[0], found.product[0]) == (0, math.inf, 0)
        assert found.product[1] == pytest.approx(1)
