"""Checks that cost seconds, made before anything is queued: the model is known, every row can be trained on."""

from __future__ import annotations

from gift_core.data.examples import Example
from gift_core.data.sources import ResolveDataset, load_split, no_examples
from gift_core.models.catalogue import find_model
from gift_core.spec import RunSpec


def check(spec: RunSpec, resolve_dataset: ResolveDataset) -> None:
    """Raise the `GiftError` that training would raise for this model and data; only catalogue models are admitted."""
    find_model(spec.model.name)
    split = load_split(spec.data, resolve_dataset)
    if not split.training:
        raise no_examples()
    _check_lengths(spec, [*split.training, *split.held_out])


def _check_lengths(spec: RunSpec, examples: list[Example]) -> None:
    # transformers takes seconds to import, and a wrong model name should not wait for it.
    from gift_core.data.tokenisation import tokenise_all
    from gift_core.models.loading import context_length, load_tokenizer

    tokenizer = load_tokenizer(spec.model.name)
    tokenise_all(examples, tokenizer, spec.data, spec.sampling, context_length(spec.model.name))
