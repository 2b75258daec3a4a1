"""What checkpoints are unsure of over a data set: tokens, classes, places in the response, and the rates' histogram.

Every example is probed once, with all of its response masked, as training does it. What is kept of a model's probe is
[2, response] per example, so a sample of thousands is megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from gift_core.data.examples import Example
from gift_core.data.glyphs import tokens_of
from gift_core.data.sources import no_examples
from gift_core.data.tokenisation import TokenisedExample, tokenise_all
from gift_core.dataset_document import CheckpointDataset, DatasetInspection
from gift_core.dataset_statistics import (
    SeenResponse,
    class_statistics,
    glyph_statistics,
    joined,
    position_statistics,
    rate_histogram,
)
from gift_core.masking_frequency import masking_over_time
from gift_core.models.fingerprint import fingerprint
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import masking_rate, mean_rate, rate_sums, rates
from gift_core.scores import ScoreCache, fill, pick
from gift_core.spec import ObjectiveSpec, RunSpec
from gift_core.token_classes import classes_of

_HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class DatasetOptions:
    """How much is looked at and listed. `rate_cache` is where probes are kept and found again, as in training;
    `tokens_at_once` go through a model together, padding included."""

    examples: int = 256
    seed: int = 0
    listed: int = 20
    minimum_count: int = 5
    position_bins: int = 20
    rate_cache: Path | None = None
    tokens_at_once: int = 16_384


def inspect_dataset(
    models: Iterable[tuple[str, str, DiffusionModel]],
    examples: Sequence[Example],
    spec: RunSpec,
    options: DatasetOptions,
    on_progress: Callable[[str, int, int], None] = lambda _label, _done, _total: None,
) -> DatasetInspection:
    """Probe a sample of `examples` with each (checkpoint id, label, model), tokenised and probed as a run of `spec`
    does it; `spec.objective` says what the rates are. `models` may load one after the other.

    `on_progress(label, done, total)` counts the examples that had to be probed. Raises the `GiftError` of examples that
    cannot be used.
    """
    chosen = sample(examples, options.examples, options.seed)
    found, looked_at = [], 0
    for checkpoint, label, model in models:
        tokenised = tokenise_all(chosen, model.tokenizer, spec.data, spec.sampling, model.context_length).examples
        if not tokenised:
            raise no_examples()
        looked_at = max(looked_at, len(tokenised))
        with _cache(model, spec, options.rate_cache) as cache:
            entropies = _probed(cache, model, tokenised, spec, options.tokens_at_once, partial(on_progress, label))
        responses = _responses(model, tokenised, entropies, spec.objective)
        found.append(_document(checkpoint, label, model.vocabulary_size, responses, spec.objective.power, options))
        # The next may need the memory before this name is bound to it.
        del model
    return DatasetInspection(
        power=spec.objective.power,
        reference=spec.objective.reference,
        examples=looked_at,
        available=len(examples),
        seed=options.seed,
        minimum_count=options.minimum_count,
        checkpoints=found,
    )


def sample(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most `count` of the examples, in their order; a larger count only adds to a smaller one's."""
    order = np.random.default_rng(seed).permutation(len(examples))[:count]
    return [examples[place] for place in sorted(order.tolist())]


@contextmanager
def _cache(model: DiffusionModel, spec: RunSpec, directory: Path | None) -> Iterator[ScoreCache]:
    if directory:
        yield ScoreCache.of_model(directory, fingerprint(model), spec.training.precision)
        return
    with TemporaryDirectory(prefix="gift-rates-") as scratch:
        yield ScoreCache(Path(scratch))


def _probed(
    cache: ScoreCache,
    model: DiffusionModel,
    examples: Sequence[TokenisedExample],
    spec: RunSpec,
    tokens_at_once: int,
    on_progress: Callable[[int, int], None],
) -> list[Tensor]:
    """Entropies of each example, [response] in nats."""
    longest = max(len(example.input_ids) for example in examples)
    rows = max(1, tokens_at_once // longest)
    autocast = spec.training.precision == "bf16"
    fill(cache, model, examples, rows, autocast=autocast, on_progress=on_progress)
    # A copy: what comes from a cache file cannot be written to, which torch warns of.
    return [pick(torch.from_numpy(np.array(cache.get(example))), "entropy") for example in examples]


def _responses(
    model: DiffusionModel, examples: Sequence[TokenisedExample], entropies: Sequence[Tensor], objective: ObjectiveSpec
) -> list[SeenResponse]:
    reference = _common_reference(entropies, objective)
    return [
        _response(model, example, entropy, objective, reference)
        for example, entropy in zip(examples, entropies, strict=True)
    ]


def _common_reference(entropies: Sequence[Tensor], objective: ObjectiveSpec) -> Tensor | None:
    """beta_ref where it is the mean over a batch: here, over all examples looked at."""
    if objective.reference != "batch":
        return None
    everywhere = masking_rate(torch.cat(list(entropies)), objective.power)
    return mean_rate(rate_sums(everywhere, torch.ones_like(everywhere, dtype=torch.bool)))


def _response(
    model: DiffusionModel,
    example: TokenisedExample,
    entropy: Tensor,
    objective: ObjectiveSpec,
    reference: Tensor | None,
) -> SeenResponse:
    mask = torch.ones_like(entropy, dtype=torch.bool)[None]
    relative = rates(objective, entropy[None], mask, reference)[0]
    tokens = tokens_of(model.tokenizer, example.input_ids[example.prompt_length :])
    return SeenResponse(
        tokens,
        classes_of(tokens, example.tail_length),
        entropy.numpy(),
        masking_rate(entropy, objective.power).numpy(),
        relative.numpy(),
        # The weighting says nothing about how often.
        masking_over_time(relative, "inverse").frequency.numpy(),
    )


def _document(
    checkpoint: str,
    label: str,
    vocabulary_size: int,
    responses: Sequence[SeenResponse],
    power: float,
    options: DatasetOptions,
) -> CheckpointDataset:
    glyphs = glyph_statistics(responses, options.minimum_count)
    entropy = joined(responses, "entropy")
    return CheckpointDataset(
        checkpoint=checkpoint,
        label=label,
        vocabulary_size=vocabulary_size,
        tokens=len(entropy),
        mean_entropy=float(entropy.mean()),
        masking_frequency=float(joined(responses, "frequency").mean()),
        highest=glyphs[: options.listed],
        lowest=glyphs[::-1][: options.listed],
        rates=rate_histogram(responses, vocabulary_size, power, _HISTOGRAM_BINS),
        positions=position_statistics(responses, options.position_bins),
        classes=class_statistics(responses),
    )
