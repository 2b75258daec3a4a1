"""A model's sizes, from which follow its number of weights and what its forward pass keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

# Where a config leaves the MLP's width out, it is this many times the model's.
_USUAL_MLP = 4


@dataclass(frozen=True)
class Architecture:
    """Sizes of a transformer body and its head; biases are left out, they are a thousandth of the weights.

    `gated` bodies have three products in the MLP (Llama, Qwen, ModernBERT), the others two (BERT). `tied` heads share
    their weight with the embedding. `published` is how many bytes a weight has on disk.
    """

    vocabulary: int
    width: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    tied: bool = False
    gated: bool = True
    published: int = 4

    @classmethod
    def of(cls, config: Any) -> Architecture:
        """The sizes that a transformers config gives."""
        width, heads = int(config.hidden_size), int(config.num_attention_heads)
        dtype = getattr(config, "dtype", None)
        activation = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", "")
        return cls(
            vocabulary=int(config.vocab_size),
            width=width,
            mlp=int(getattr(config, "intermediate_size", None) or _USUAL_MLP * width),
            layers=int(config.num_hidden_layers),
            heads=heads,
            kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_width=int(getattr(config, "head_dim", None) or width // heads),
            tied=bool(getattr(config, "tie_word_embeddings", False)),
            published=dtype.itemsize if isinstance(dtype, torch.dtype) else 4,
            gated=activation == "silu" or config.model_type == "modernbert",
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
        up = ((self.width, self.mlp),) * (2 if self.gated else 1)
        return (self.query_width, self.width), *up, (self.mlp, self.width)

    @property
    def layer_products(self) -> int:
        """Weights of a layer's matrices."""
        return sum(rows * columns for rows, columns in (*self.attention_products, *self.other_products))

    @property
    def layer_weights(self) -> int:
        return self.layer_products + 2 * self.width

    @property
    def head(self) -> int:
        """Weights of the output projection, and of the embedding."""
        return self.vocabulary * self.width

    @property
    def weights(self) -> int:
        return self.layers * self.layer_weights + self.width + self.head * (1 if self.tied else 2)
