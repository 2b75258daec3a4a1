"""What the model would write at a position, and how sure it is, read from the head a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gift_core.models.head import entropy, logit_chunks
from gift_core.noise import Stream, generator, uniforms
from gift_core.spec import SamplingSpec

# The order's confidence of an end that is to be committed last: below every probability, margin and -entropy.
LAST_RESORT = -1e9
# The logit of a token that is not to be drawn. Not -inf: an entropy adds up p log p, and 0 times that is no number.
_NEVER = -1e9


class Predictions(NamedTuple):
    """At n positions: the chosen token, what the order goes by (larger first), the token's probability without
    temperature, the entropy in nats, and the most probable tokens [n, k]. Entropy is 0 and k is 0 where nobody asked.
    """

    token: Tensor
    confidence: Tensor
    probability: Tensor
    entropy: Tensor
    top_probability: Tensor
    top_token: Tensor

    @classmethod
    def joined(cls, parts: Iterable[Predictions]) -> Predictions:
        first, *others = parts
        return cls(*map(torch.cat, zip(first, *others, strict=True))) if others else first

    def at(self, chosen: Tensor) -> Predictions:
        """Of these positions only: indices in the order wanted, or a mask [n]."""
        return Predictions(*(values[chosen] for values in self))


@dataclass(frozen=True)
class Reader:
    """Turns hidden states into predictions. `ends` are the tokens that end a response.

    The mask token is never chosen and never among the most probable tokens: a response that holds it is not finished.
    Probabilities and entropies are the model's own, mask included, so that the order stays that of the published
    samplers.
    """

    sampling: SamplingSpec
    seed: int
    ends: tuple[int, ...]
    mask_id: int
    top_k: int = 0

    def __call__(self, hidden: Tensor, head: nn.Module, steps: Tensor, positions: Tensor) -> Predictions:
        """`hidden` [n, width], followed by as many rows without the prompt where guidance is on; `steps` and
        `positions` [n] key the noise. Equal keys should be neighbours: their noise is then drawn once.
        """
        guidance = self.sampling.cfg_scale
        with_prompt, without = hidden.split(len(steps)) if guidance else (hidden, None)
        return Predictions.joined(
            self._predict(logits, steps[rows], positions[rows])
            for rows, logits in logit_chunks(with_prompt, head, without, guidance)
        )

    def _predict(self, logits: Tensor, steps: Tensor, positions: Tensor) -> Predictions:
        sampling = self.sampling
        if sampling.suppress_eos == "tokens":
            logits[:, list(self.ends)] = _NEVER
        pool, token = self._chosen(logits, steps, positions)
        probability = _probability(logits, token)
        confidence = self._confidence(pool if sampling.sampler == "dream" else logits, token, probability)
        if sampling.suppress_eos == "confidence":
            ends = torch.isin(token, torch.tensor(self.ends, device=token.device))
            confidence = confidence.masked_fill(ends, LAST_RESORT)
        asked = self.top_k or sampling.entropy_bound is not None
        top = self._most_probable(logits) if self.top_k else None
        return Predictions(
            token,
            confidence,
            probability,
            entropy(logits) if asked else torch.zeros_like(probability),
            top[0] if top else logits.new_zeros(len(logits), 0),
            top[1] if top else token.new_zeros(len(logits), 0),
        )

    def _chosen(self, logits: Tensor, steps: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of what a token is drawn from, and the token: never the mask, whose logits are put back after."""
        of_mask = logits[:, self.mask_id].clone()
        logits[:, self.mask_id] = _NEVER
        pool = self._pool(logits)
        drawn = pool + self._gumbel(steps, positions, logits) if self.sampling.temperature > 0 else logits
        token = drawn.argmax(-1)
        logits[:, self.mask_id] = of_mask
        return pool, token

    def _most_probable(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and ids of the most probable tokens but for the mask, [n, k] each."""
        probabilities = _softmax(logits)
        # Below every probability.
        probabilities[:, self.mask_id] = -1
        top = probabilities.topk(min(self.top_k, logits.shape[-1] - 1))
        return top.values, top.indices

    def _pool(self, logits: Tensor) -> Tensor:
        """Logits of what a token is drawn from: at the temperature, and of the nucleus only."""
        tempered = logits / self.sampling.temperature if self.sampling.temperature > 0 else logits
        return _nucleus(tempered, self.sampling.top_p) if self.sampling.top_p < 1 else tempered

    def _confidence(self, logits: Tensor, token: Tensor, probability: Tensor) -> Tensor:
        match self.sampling.remasking:
            case "topk_margin":
                best = _softmax(logits).topk(2)
                margin = best.values[:, 0] - best.values[:, 1]
                # Where the model expects the mask, what is chosen instead trails by the margin.
                return torch.where(best.indices[:, 0] == self.mask_id, -margin, margin)
            case "entropy":
                return -entropy(logits)
            case "low_confidence" if self.sampling.sampler == "dream":
                return _probability(logits, token)
            case _:
                return probability

    def _gumbel(self, steps: Tensor, positions: Tensor, logits: Tensor) -> Tensor:
        """[n, vocabulary]: rows that look at one position in the same step share its draws."""
        vocabulary = logits.shape[-1]
        return _keyed(steps, positions, lambda step, position: self._draw(step, position, vocabulary)).to(logits)

    def _draw(self, step: int, position: int, vocabulary: int) -> np.ndarray:
        # The first draw is the position's uniform.
        draws = uniforms(generator(Stream.SAMPLING, self.seed, position, step), vocabulary + 1)[1:]
        noise: np.ndarray = -np.log(-np.log(draws))
        return noise


def position_uniforms(seed: int, steps: Tensor, positions: Tensor) -> Tensor:
    """A uniform for each (step, position), [n]: what orders positions at random, whatever the model says."""
    drawn = _keyed(
        steps, positions, lambda step, position: uniforms(generator(Stream.SAMPLING, seed, position, step), 1)
    )
    return drawn[:, 0].to(steps.device)


def _keyed(steps: Tensor, positions: Tensor, draw: Callable[[int, int], np.ndarray]) -> Tensor:
    """What `draw` makes of each pair, [n, draws] on the CPU; of equal pairs, once."""
    pairs, back = torch.stack([steps, positions], 1).cpu().unique(dim=0, return_inverse=True)
    return torch.from_numpy(np.stack([draw(step, position) for step, position in pairs.tolist()]))[back]


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _probability(logits: Tensor, token: Tensor) -> Tensor:
    """Of `token` [n] under softmax(logits)."""
    return (logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)).exp()


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """`logits` with -inf for all but the most probable tokens that together reach `top_p`."""
    ordered, order = logits.sort(-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    return ordered.masked_fill(before > top_p, _NEVER).gather(1, order.argsort(-1))
