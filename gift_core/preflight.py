"""Checks that cost seconds, made before anything is queued: the model is known, every row can be trained on."""

from __future__ import annotations

from gift_core.data.sources import ResolveDataset, Split, load_split, no_examples
from gift_core.models.catalogue import find_model
from gift_core.spec import RunSpec


def check(spec: RunSpec, resolve_dataset: ResolveDataset) -> None:
    """Raise the `GiftError` that training would raise for this model and data; only catalogue models are admitted."""
    find_model(spec.model.name)
    split = load_split(spec.data, resolve_dataset)
    if not split.training:
        raise no_examples()
    _check_lengths(spec, split)
    if spec.model.quantisation != "none":
        from gift_core.models.quantisation import four_bits

        four_bits()


def _check_lengths(spec: RunSpec, split: Split) -> None:
    # transformers takes seconds to import, and a wrong model name should not wait for it.
    from gift_core.data.tokenisation import tokenise_all
    from gift_core.models.loading import context_length, load_tokenizer

    tokenizer, context = load_tokenizer(spec.model.name), context_length(spec.model.name)
    both = [*split.training, *split.held_out]
    tokenised = tokenise_all(both, tokenizer, spec.data, spec.sampling, context)
    # Rows may have been left out: none of those that remain need be a training example.
    if {example.id for example in tokenised.examples}.isdisjoint(example.id for example in split.training):
        raise no_examples()
