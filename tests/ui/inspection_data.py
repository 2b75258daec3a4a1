"""Inspections for the component tests: the recorded one, a partial mask of it, and a data set with hostile text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gift_core.dataset_document import CheckpointDataset, DatasetInspection
from gift_core.dataset_statistics import (
    SeenResponse,
    class_statistics,
    glyph_statistics,
    joined,
    position_statistics,
    rate_histogram,
)
from gift_core.documents import (
    CheckpointInspection,
    Inspection,
    PartialPrediction,
    Token,
    TokenMasking,
    WeightedMasking,
)
from gift_core.inspection import WEIGHTINGS
from gift_core.masking_frequency import masking_over_time
from gift_core.recording import Recording
from gift_core.token_classes import classes_of

HOSTILE_TEXT = "</script><img src=x onerror=alert(1)>"
_VOCABULARY = 56


def masking_over_all_times(relative: np.ndarray) -> TokenMasking:
    """What an inspection holds for the mean over t."""
    found = {weighting: masking_over_time(torch.from_numpy(relative), weighting) for weighting in WEIGHTINGS}
    return TokenMasking(
        t=None,
        frequency=found["inverse"].frequency.tolist(),
        weighted=[
            WeightedMasking(weighting=name, weight=masking.weight.tolist(), product=masking.product.tolist())
            for name, masking in found.items()
        ],
    )


def recorded(*masked: int) -> Inspection:
    """A recorded inspection; where some positions are masked, each entropy is half of what it was at the probe."""
    found = Recording.bundled().inspections[2].inspection
    if not masked:
        return found
    mask = [place in masked for place in range(len(found.response))]
    checkpoints = [each.model_copy(update={"partial": _partial(each, mask)}) for each in found.checkpoints]
    return found.model_copy(update={"masked": mask, "checkpoints": checkpoints})


def _partial(checkpoint: CheckpointInspection, mask: list[bool]) -> PartialPrediction:
    def at_masked(values: Any) -> Any:
        return [value if masked else None for value, masked in zip(values, mask, strict=True)]

    return PartialPrediction(
        entropy=at_masked([value / 2 for value in checkpoint.entropy]),
        probability=at_masked(checkpoint.probability),
        rank=at_masked(checkpoint.rank),
        top=[top if masked else [] for top, masked in zip(checkpoint.top, mask, strict=True)],
    )


def dataset(*labels: str, seeds: tuple[int, ...] = (7, 8)) -> DatasetInspection:
    """Thirty responses; checkpoints of one seed are equal."""
    return DatasetInspection(
        power=0.5,
        reference="sequence",
        examples=30,
        available=40,
        seed=0,
        minimum_count=5,
        checkpoints=[_checkpoint(label, seed) for label, seed in zip(labels, seeds, strict=True)],
    )


def _checkpoint(label: str, seed: int) -> CheckpointDataset:
    random = np.random.default_rng(seed)
    responses = [_response(random) for _ in range(30)]
    glyphs = glyph_statistics(responses, 5)
    entropy = joined(responses, "entropy")
    return CheckpointDataset(
        checkpoint=label,
        label=label,
        vocabulary_size=_VOCABULARY,
        tokens=len(entropy),
        mean_entropy=float(entropy.mean()),
        masking_frequency=float(joined(responses, "frequency").mean()),
        highest=glyphs,
        lowest=glyphs[::-1],
        rates=rate_histogram(responses, _VOCABULARY, 0.5, 40),
        positions=position_statistics(responses, 20),
        classes=class_statistics(responses),
    )


def _response(random: np.random.Generator) -> SeenResponse:
    texts = [" So", " 12", "+", HOSTILE_TEXT, "\n", "é"]
    tokens = [Token(id=i, text=text, glyph=i) for i, text in enumerate(texts)]
    tokens += [Token(id=50, text="<|eos|>", special=True, glyph=len(texts) + i) for i in range(2)]
    entropy = random.uniform(0, 1, len(tokens)) * np.array([4, 2, 1, 1.5, 0.1, 0.5, 0.01, 0.01])
    rate = np.sqrt(entropy)
    relative = rate / rate.mean()
    frequency = masking_over_time(torch.from_numpy(relative), "inverse").frequency.numpy()
    return SeenResponse(tokens, classes_of(tokens, 2), entropy, rate, relative, frequency)
