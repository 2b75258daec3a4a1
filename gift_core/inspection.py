"""What a checkpoint is unsure of: entropy, masking rate, probability and top-k per response token.

Rates belong to the probe, where all of the response is masked. A partial mask shows what the same checkpoint predicts
with the rest in sight, beside the probe's numbers and not in their place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder
from gift_core.documents import (
    Candidate,
    CheckpointInspection,
    Inspection,
    PartialPrediction,
    TokenMasking,
    WeightedMasking,
)
from gift_core.errors import SpecError
from gift_core.masking_frequency import masking_at, masking_over_time
from gift_core.models.forward import logits_at
from gift_core.models.head import entropy
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import bounded_rate, masking_rate, reference_rate, relative_rate
from gift_core.spec import ObjectiveSpec, SamplingSpec, Weighting
from gift_core.tracing import candidates

TOP_K = 8
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)


@dataclass(frozen=True)
class _Text:
    """A prompt and a response as ids, the response with its end of turn and EOS tail."""

    prompt: list[int]
    response: list[int]

    @classmethod
    def of(cls, model: DiffusionModel, prompt: str, response: str) -> _Text:
        encoder = Encoder(model.tokenizer)
        return cls(encoder.prompt(prompt), encoder.response(response, "block", SamplingSpec().block_length)[0])


def inspect(
    models: list[tuple[str, str, DiffusionModel]],
    prompt: str,
    response: str,
    objective: ObjectiveSpec,
    *,
    masked: Sequence[int] | None = None,
    times: Sequence[float] = (),
) -> Inspection:
    """Probe each (checkpoint id, label, model) with all of the response masked, its EOS tail included.

    `masked` are response positions: with them, each checkpoint is asked a second time, with only these masked. `times`
    are diffusion times in (0, 1) at which the masking is worked out, besides its average over t. Raises `SpecError`
    when the text does not fit the context, the response is empty, a position is not in it, or the checkpoints do not
    share a tokenisation.
    """
    first = models[0][2]
    if not response.strip():
        raise SpecError("The response is empty.", field="response", remedy="Enter the answer whose tokens to look at.")
    text = _Text.of(first, prompt, response)
    for _, label, model in models:
        _check(text, _Text.of(model, prompt, response), label, model.context_length)
    positions = None if masked is None else _checked_mask(masked, len(text.response))
    return Inspection(
        prompt=tokens_of(first.tokenizer, text.prompt),
        response=tokens_of(first.tokenizer, text.response),
        vocabulary_size=first.vocabulary_size,
        power=objective.power,
        masked=[] if positions is None else [position in positions for position in range(len(text.response))],
        checkpoints=[
            _inspect_one(model, checkpoint, label, text, objective, positions, times)
            for checkpoint, label, model in models
        ],
    )


def _check(text: _Text, own: _Text, label: str, context_length: int) -> None:
    length = len(own.prompt) + len(own.response)
    if length > context_length:
        raise SpecError(
            f"The text has {length} tokens; the model's context holds {context_length}.",
            field="prompt",
            remedy="Shorten the prompt or the response.",
        )
    if own != text:
        raise SpecError(
            f"{label} divides the text into other tokens than the first checkpoint.",
            field="checkpoints",
            remedy="Look at checkpoints of one base together, and at others by themselves.",
        )


def _checked_mask(masked: Sequence[int], length: int) -> list[int]:
    """The positions in order, each once; raises `SpecError`."""
    outside = [position for position in masked if not 0 <= position < length]
    if outside or not masked:
        raise SpecError(
            f"Position {outside[0]} is not in the response." if outside else "No position is masked.",
            field="masked",
            remedy=f"Give positions from 0 to {length - 1}.",
        )
    return sorted(set(masked))


@torch.inference_mode()
def _inspect_one(
    model: DiffusionModel,
    checkpoint: str,
    label: str,
    text: _Text,
    objective: ObjectiveSpec,
    masked: list[int] | None,
    times: Sequence[float],
) -> CheckpointInspection:
    found = _predict(model, text, range(len(text.response)))
    rate = masking_rate(found.entropy, objective.power)
    response = torch.ones_like(rate, dtype=torch.bool)[None]
    reference = reference_rate(rate[None], response, objective.reference)
    relative = relative_rate(rate[None], response, reference)
    relative = bounded_rate(relative, response, objective.rate_floor, objective.rate_ceiling)[0]
    return CheckpointInspection(
        checkpoint=checkpoint,
        label=label,
        entropy=found.entropy.tolist(),
        masking_rate=rate.tolist(),
        relative_rate=relative.tolist(),
        reference=float(reference),
        probability=found.probability,
        rank=found.rank,
        top=found.top,
        masking=[_masking(relative.cpu(), t) for t in (None, *times)],
        partial=None if masked is None else _partial(_predict(model, text, masked), masked, len(text.response)),
    )


@dataclass(frozen=True)
class _Predicted:
    """What is predicted at the masked positions, [masked] each."""

    entropy: Tensor
    probability: list[float]
    rank: list[int]
    top: list[list[Candidate]]


def _predict(model: DiffusionModel, text: _Text, masked: Sequence[int]) -> _Predicted:
    start = len(text.prompt)
    ids = torch.tensor([text.prompt + text.response], device=model.device)
    positions = torch.zeros_like(ids, dtype=torch.bool)
    positions[0, [start + position for position in masked]] = True
    targets = ids[positions]
    logits = logits_at(
        model.network, ids.masked_fill(positions, model.mask_id), None, positions, model.logit_shift
    ).float()
    probabilities = logits.softmax(-1)
    truth = probabilities.gather(1, targets.to(logits.device)[:, None])
    return _Predicted(
        entropy(logits),
        truth[:, 0].tolist(),
        (probabilities > truth).sum(1).tolist(),
        [candidates(model, row, TOP_K) for row in probabilities],
    )


def _partial(found: _Predicted, masked: list[int], length: int) -> PartialPrediction:
    places = {position: place for place, position in enumerate(masked)}
    rows = [places.get(position) for position in range(length)]
    entropies: list[float] = found.entropy.tolist()
    return PartialPrediction(
        entropy=[None if row is None else entropies[row] for row in rows],
        probability=[None if row is None else found.probability[row] for row in rows],
        rank=[None if row is None else found.rank[row] for row in rows],
        top=[[] if row is None else found.top[row] for row in rows],
    )


def _masking(relative: Tensor, t: float | None) -> TokenMasking:
    """At time t, or over all times."""
    found = {
        weighting: masking_over_time(relative, weighting) if t is None else masking_at(t, relative, weighting)
        for weighting in WEIGHTINGS
    }
    return TokenMasking(
        t=t,
        frequency=found["inverse"].frequency.tolist(),
        weighted=[
            WeightedMasking(
                weighting=weighting,
                # JSON has no infinity.
                weight=[value if math.isfinite(value) else None for value in masking.weight.tolist()],
                product=masking.product.tolist(),
            )
            for weighting, masking in found.items()
        ],
    )
