"""Checks that cost seconds, made before anything is loaded: the model is known, every row can be trained on, the
memory is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gift_core.data.sources import ResolveDataset, Split, load_split, no_examples
from gift_core.models.catalogue import find_model
from gift_core.spec import RunSpec

# transformers takes seconds to import, and a wrong model name should not wait for it.
if TYPE_CHECKING:
    from gift_core.data.tokenisation import TokenisedExample


def check(spec: RunSpec, resolve_dataset: ResolveDataset) -> None:
    """Raise the `GiftError` that training would raise for this model and data; only catalogue models are admitted."""
    find_model(spec.model.name)
    _training_examples(spec, resolve_dataset)
    if spec.model.quantisation != "none":
        from gift_core.models.quantisation import four_bits

        four_bits()
    if spec.training.compile:
        from gift_core.compilation import check_compiler

        check_compiler()


def check_memory(spec: RunSpec, resolve_dataset: ResolveDataset, available: int) -> None:
    """Raise an `OutOfMemoryError` where a run would need more than `available` bytes; what it needs follows from the
    model's config and the lengths of the examples, and nothing is loaded. Passes bodies other than Llama's."""
    from gift_core.activations import Setup
    from gift_core.memory import predict
    from gift_core.models.loading import architecture
    from gift_core.out_of_memory import too_little_memory
    from gift_core.sizing import largest_micro_batch

    body = architecture(spec.model.name)
    if not body.is_llama:
        return
    batch = largest_micro_batch(_training_examples(spec, resolve_dataset), spec)
    needed = predict(body, Setup.of(spec, body), batch)
    if needed.total > available:
        raise too_little_memory(spec, batch, body, needed, available)


def _training_examples(spec: RunSpec, resolve_dataset: ResolveDataset) -> list[TokenisedExample]:
    """What would be learned from; raises the `GiftError` of rows that cannot be, held-out ones among them."""
    split = load_split(spec.data, resolve_dataset)
    if not split.training:
        raise no_examples()
    return _tokenised(spec, split)


def _tokenised(spec: RunSpec, split: Split) -> list[TokenisedExample]:
    from gift_core.data.tokenisation import tokenise_all
    from gift_core.models.loading import context_length, load_tokenizer

    tokenizer, context = load_tokenizer(spec.model.name), context_length(spec.model.name)
    both = [*split.training, *split.held_out]
    tokenised = tokenise_all(both, tokenizer, spec.data, spec.sampling, context)
    # Rows may have been left out: none of those that remain need be a training example.
    training = {example.id for example in split.training}
    found = [example for example in tokenised.examples if example.id in training]
    if not found:
        raise no_examples()
    return found
