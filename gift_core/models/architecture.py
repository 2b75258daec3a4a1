"""A model's sizes, from which follow its number of weights and what its forward pass keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_LLAMAS = frozenset({"llama", "qwen2", "qwen3"})
# Where a config leaves the MLP's width out, it is this many times the model's.
_USUAL_MLP = 4


@dataclass(frozen=True)
class Architecture:
    """Sizes of a transformer body and its head; biases are left out, they are a thousandth of the weights.

    They are those of a Llama: norms without a mean, a gated MLP. With `normed_queries` the heads' queries and keys have
    norms too (Qwen3), and `tied` heads share their weight with the embedding. `is_llama` is False for any other body,
    such as BERT's, whose memory these sizes do not tell. `published` is how many bytes a weight has on disk.
    """

    vocabulary: int
    width: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    tied: bool = False
    normed_queries: bool = False
    is_llama: bool = True
    published: int = 4

    @classmethod
    def of(cls, config: Any) -> Architecture:
        """The sizes that a transformers config gives."""
        width, heads = int(config.hidden_size), int(config.num_attention_heads)
        dtype = getattr(config, "dtype", None)
        return cls(
            vocabulary=int(config.vocab_size),
            width=width,
            mlp=int(getattr(config, "intermediate_size", None) or _USUAL_MLP * width),
            layers=int(config.num_hidden_layers),
            heads=heads,
            kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_width=int(getattr(config, "head_dim", None) or width // heads),
            tied=bool(getattr(config, "tie_word_embeddings", False)),
            normed_queries=config.model_type == "qwen3",
            is_llama=config.model_type in _LLAMAS,
            published=dtype.itemsize if isinstance(dtype, torch.dtype) else 4,
        )

    @property
    def query_width(self) -> int:
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        return self.kv_heads * self.head_width

    @property
    def attention_products(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of the query, key and value projections."""
        return (self.width, self.query_width), (self.width, self.key_width), (self.width, self.key_width)

    @property
    def other_products(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of the attention's output projection, then of the MLP, the one that leads down last."""
        up = (self.width, self.mlp)
        return (self.query_width, self.width), up, up, (self.mlp, self.width)

    @property
    def layer_products(self) -> int:
        """Weights of a layer's matrices."""
        return sum(rows * columns for rows, columns in (*self.attention_products, *self.other_products))

    @property
    def layer_weights(self) -> int:
        return self.layer_products + 2 * self.width + (2 * self.head_width if self.normed_queries else 0)

    @property
    def head(self) -> int:
        """Weights of the output projection, and of the embedding."""
        return self.vocabulary * self.width

    @property
    def weights(self) -> int:
        return self.layers * self.layer_weights + self.width + self.head * (1 if self.tied else 2)
