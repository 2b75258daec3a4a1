"""What happened to each token in the steps since the last report: who was masked, how sure the model was, where the
loss fell. Sums and histograms only, so that processes add up theirs, and nothing waits for the device before a report.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gift_core.data.noising import NoisedBatch
from gift_core.memory import peak_memory

BINS = 512
_QUANTILES = (0.1, 0.5, 0.9)
_DECILES = 10
# Relative rates beyond this share the last bin.
_LARGEST_RATE = 8.0


@dataclass(frozen=True)
class NotFinite:
    """What is not finite: the loss, the gradient or a masking rate; at which step, in which examples of the batch where
    that is known, and all examples of that batch."""

    what: str
    step: int
    culprits: tuple[int, ...]
    examples: tuple[int, ...]


@dataclass(frozen=True)
class _Loss:
    """Of one micro-batch: CE per masked position, still unread on the device, and what to make of each.

    All but `ids`, the batch's examples, are [masked positions].
    """

    step: int
    ids: tuple[int, ...]
    rows: np.ndarray
    weights: np.ndarray
    tail: np.ndarray
    entropy_bins: np.ndarray | None
    cross_entropy: Tensor


class Accounts:
    """Accumulates micro-batches; `metrics` reads and clears.

    `largest_entropy` is ln of the vocabulary, in nats; `power` is that of the masking rate, H ** power.
    """

    def __init__(self, largest_entropy: float, power: float = 0.5) -> None:
        self._largest_entropy = largest_entropy
        self._power = power
        self._clear()

    def _clear(self) -> None:
        self._started = time.perf_counter()
        self._losses: list[_Loss] = []
        self._norms: list[tuple[int, Tensor]] = []
        self._bad_rates: NotFinite | None = None
        self._counts = np.zeros(3)
        self._entropy = np.zeros(BINS)
        self._rates = np.zeros(BINS)
        self._probabilities = np.zeros(BINS)
        self._entropy_sum = 0.0

    def restart_clock(self) -> None:
        """What follows counts tokens per second of training: an evaluation lay between."""
        self._started = time.perf_counter()

    def add(self, step: int, noised: NoisedBatch, cross_entropy: Tensor) -> None:
        """Count a micro-batch; its `cross_entropy` [n] may still be being computed."""
        response, entropy = noised.batch.response_mask, noised.entropy
        attended, learned = int(noised.batch.attention_mask.sum()), int(response.sum())
        self._counts += [attended, learned, len(noised.positions)]
        self._probabilities += _histogram(noised.corruption.probability[response].numpy(), 1.0)
        bins = None
        if entropy is not None:
            values = entropy[response].numpy()
            self._entropy += np.bincount(self._entropy_bins(values), minlength=BINS)
            self._entropy_sum += float(values.sum(dtype=np.float64))
            self._rates += _histogram(noised.relative[response].numpy(), _LARGEST_RATE)
            bins = self._entropy_bins(entropy[noised.corruption.masked].numpy())
        rows = (noised.positions // noised.input_ids.shape[1]).numpy()
        self._losses.append(
            _Loss(
                step=step,
                ids=tuple(example.id for example in noised.batch.examples),
                rows=rows,
                weights=noised.weights.double().numpy(),
                tail=noised.batch.tail_mask[noised.corruption.masked].numpy(),
                entropy_bins=bins,
                cross_entropy=cross_entropy.detach(),
            )
        )
        if not bool(noised.relative.isfinite().all()):
            # Such a token would silently not be masked: no number is less than NaN.
            self._bad_rates = self._bad_rates or NotFinite("masking rate", step, (), self._losses[-1].ids)

    def add_norm(self, step: int, norm: Tensor) -> None:
        """Note a step's gradient norm, for `first_bad`."""
        self._norms.append((step, norm.detach()))

    def first_bad(self) -> NotFinite | None:
        """The first step since the last report whose loss or gradient is not finite; waits for the device."""
        for loss in self._losses:
            finite = loss.cross_entropy.isfinite().cpu().numpy() & np.isfinite(loss.weights)
            if not finite.all():
                culprits = tuple(loss.ids[row] for row in np.unique(loss.rows[~finite]))
                return NotFinite("loss", loss.step, culprits, self._examples(loss.step))
        if self._bad_rates:
            return self._bad_rates
        for step, norm in self._norms:
            if not math.isfinite(float(norm)):
                return NotFinite("gradient", step, (), self._examples(step))
        return None

    def metrics(self, add_up: Callable[[Tensor], Tensor] = lambda sums: sums) -> dict[str, float]:
        """Everything since the last call, then starts again. `add_up` sums a vector over all processes."""
        loss_by_entropy, weighted, tail = self._read_losses()
        parts = [self._counts, [weighted, tail, self._entropy_sum], self._entropy, self._rates, self._probabilities]
        sums = add_up(torch.from_numpy(np.concatenate([*parts, loss_by_entropy]))).numpy()
        (attended, learned, masked), (weighted, tail, entropy_sum) = sums[:3], sums[3:6]
        entropy, rates, probabilities, loss_by_entropy = sums[6:].reshape(4, BINS)
        seconds = time.perf_counter() - self._started
        learned = max(learned, 1.0)
        values = {
            "tokens_per_second": attended / seconds,
            "mask_ratio": masked / learned,
            "tail_loss_share": tail / weighted if weighted else 0.0,
            "peak_memory_bytes": float(peak_memory()),
            **_quantiles("masking_probability", probabilities, np.linspace(0, 1, BINS + 1)),
        }
        if entropy.any():
            values["mean_entropy"] = entropy_sum / learned
            values |= _quantiles("entropy", entropy, self._entropy_edges())
            values |= _quantiles("masking_rate", entropy, self._entropy_edges() ** self._power)
            values |= _quantiles("relative_rate", rates, np.linspace(0, _LARGEST_RATE, BINS + 1))
            shares = shares_by_decile(entropy, loss_by_entropy)
            values |= {f"loss_share_decile_{i + 1}": share for i, share in enumerate(shares)}
        self._clear()
        return values

    def _read_losses(self) -> tuple[np.ndarray, float, float]:
        """Weighted loss by entropy bin, in all, and on the EOS tail."""
        by_entropy, total, tail = np.zeros(BINS), 0.0, 0.0
        for loss in self._losses:
            weighted = loss.cross_entropy.cpu().double().numpy() * loss.weights
            total += float(weighted.sum())
            tail += float(weighted[loss.tail].sum())
            if loss.entropy_bins is not None:
                by_entropy += np.bincount(loss.entropy_bins, weights=weighted, minlength=BINS)
        return by_entropy, total, tail

    def _entropy_bins(self, entropy: np.ndarray) -> np.ndarray:
        # Most tokens are nearly certain: bins that grow with the square tell those apart.
        scaled = np.sqrt(entropy / self._largest_entropy) * BINS
        return np.nan_to_num(scaled).astype(np.int64).clip(0, BINS - 1)

    def _entropy_edges(self) -> np.ndarray:
        return self._largest_entropy * np.linspace(0, 1, BINS + 1) ** 2

    def _examples(self, step: int) -> tuple[int, ...]:
        return tuple(identity for loss in self._losses if loss.step == step for identity in loss.ids)


def shares_by_decile(tokens: np.ndarray, loss: np.ndarray) -> list[float]:
    """Share of the loss in each tenth of the tokens, the most certain tenth first; both are histograms over entropy.

    A bin that straddles two tenths is divided in proportion.
    """
    total = loss.sum()
    if not total:
        return [0.0] * _DECILES
    counted = np.concatenate([[0], np.cumsum(tokens)])
    lost = np.concatenate([[0], np.cumsum(loss)])
    # Bins without tokens would make the interpolation ambiguous.
    rising = np.concatenate([[True], np.diff(counted) > 0])
    ends = np.interp(np.linspace(0, counted[-1], _DECILES + 1), counted[rising], lost[rising])
    return (np.diff(ends) / total).tolist()


def _histogram(values: np.ndarray, largest: float) -> np.ndarray:
    bins = (np.nan_to_num(values) * (BINS / largest)).astype(np.int64).clip(0, BINS - 1)
    return np.bincount(bins, minlength=BINS)


def _quantiles(name: str, histogram: np.ndarray, edges: np.ndarray) -> dict[str, float]:
    """10th, 50th and 90th percentile of a histogram, interpolated inside its bins."""
    total = histogram.sum()
    if not total:
        return {}
    cumulative = np.concatenate([[0], np.cumsum(histogram)]) / total
    found = []
    for share in _QUANTILES:
        bin_ = int(np.searchsorted(cumulative, share)) - 1
        inside = (share - cumulative[bin_]) / (cumulative[bin_ + 1] - cumulative[bin_])
        found.append(edges[bin_] + inside * (edges[bin_ + 1] - edges[bin_]))
    return {f"{name}_p{round(100 * share)}": float(value) for share, value in zip(_QUANTILES, found, strict=True)}
