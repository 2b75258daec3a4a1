"""Make a masked diffusion model from a causal one: the weights stay, the attention looks both ways."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from gift_core.errors import ModelError
from gift_core.models.catalogue import find_model
from gift_core.models.families.bidirectional import BIDIRECTIONAL, CONVERTIBLE
from gift_core.models.folder.documents import check_documents
from gift_core.models.loading import DiffusionModel, load_network, read_config
from gift_core.models.saving import save_checkpoint
from gift_core.models.special_tokens import end_of_turn_id, files_of_tokenizer

_MASK = "<|mask|>"


def convert_causal(name: str, target: Path) -> None:
    """Write the bidirectional conversion of a Llama, Qwen2 or Qwen3 (a folder, or a Hub model in the cache).

    A causal model predicts the next token, and the conversion goes on doing so: its `logit_shift` is 1. A mask token
    is added where the tokenizer has none. It has to be trained before it can fill in masks. Raises `ModelError`.
    """
    source = find_model(name, local_folders=True)
    check_documents(source)
    config = read_config(source)
    kind = config.get("model_type")
    if kind not in CONVERTIBLE or config.get("is_causal") is False:
        why = "it looks both ways already" if kind in CONVERTIBLE else f"its type is {kind!r}"
        raise ModelError(
            f"{source.name} is no causal model that can be converted: {why}.",
            field="source",
            remedy=f"Choose a causal model of the types {', '.join(CONVERTIBLE)}.",
        )
    values = BIDIRECTIONAL.adapt(config) | {"logit_shift": 1}
    tokenizer = files_of_tokenizer(source, AutoTokenizer)
    network = load_network(source, values, BIDIRECTIONAL)
    if tokenizer.mask_token is None:
        _add_mask(network, tokenizer)
    network.config.mask_token_id = tokenizer.mask_token_id
    converted = DiffusionModel(
        network, tokenizer, tokenizer.mask_token_id, tokenizer.eos_token_id, end_of_turn_id(tokenizer), logit_shift=1
    )
    save_checkpoint(converted, target)


@torch.no_grad()
def _add_mask(network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Name a mask token; its embedding starts as the mean of all, from where no token is far."""
    tokenizer.add_special_tokens({"mask_token": _MASK})
    embeddings = network.get_input_embeddings()
    mean = embeddings.weight.float().mean(0)
    if len(tokenizer) > len(embeddings.weight):
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        embeddings = network.get_input_embeddings()
    embeddings.weight[tokenizer.mask_token_id] = mean.to(embeddings.weight.dtype)
