"""What the probe's reduction of logits to entropies costs next to the matrix product that makes them, and its memory.

The head lies in bf16 here: autocast's copy of its weight is the price of a forward pass, with entropies or without.
What the peak is above the chunk are two fp32 pieces of 4 MiB, and what malloc keeps of earlier ones.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from _common import (
    SEED,
    Shape,
    alternate,
    peak_bytes,
    print_heading,
    print_table,
    ratio,
    use_one_thread,
)
from torch import Tensor, nn

from gift_core.models.head import CHUNK_LOGITS, probe_scores

SHAPES = (Shape(32_000, width=512), Shape(32_000, width=1024), Shape(126_464, width=512), Shape(126_464, width=1024))
# Response tokens of a batch of eight GSM8K examples, EOS tails included.
ROWS, ROUNDS = 930, 3
# Logits that spread as a trained model's do.
_SPREAD = 3.0


def chunk_rows(vocabulary: int) -> int:
    """Rows whose logits are alive at once."""
    return CHUNK_LOGITS // vocabulary


def product(hidden: Tensor, head: nn.Linear) -> None:
    """The head alone, in the same chunks and into one buffer, as `probe_scores` runs it."""
    size = chunk_rows(head.out_features)
    buffer = hidden.new_empty(size, head.out_features)
    with torch.no_grad():
        for rows in hidden.split(size):
            torch.mm(rows, head.weight.t(), out=buffer[: len(rows)])


def operands(shape: Shape) -> tuple[Tensor, nn.Linear, Tensor]:
    """Hidden states, head and targets."""
    torch.manual_seed(SEED)
    head = nn.utils.skip_init(nn.Linear, shape.width, shape.vocabulary, bias=False, dtype=torch.bfloat16)
    nn.init.normal_(head.weight, std=_SPREAD / shape.width**0.5)
    return torch.randn(ROWS, shape.width, dtype=torch.bfloat16), head, torch.randint(shape.vocabulary, (ROWS,))


def measure(shape: Shape) -> list[str]:
    """The table's row of one shape."""
    hidden, head, targets = operands(shape)

    def probe() -> Tensor:
        return probe_scores(hidden, head, targets)

    # One row loads the libraries' code, which is nobody's working memory.
    probe_scores(hidden[:1], head, targets[:1])
    peak = peak_bytes(probe)
    product(hidden, head)
    seconds = alternate({"probe": [probe], "product": [partial(product, hidden, head)]}, ROUNDS)
    reduction = np.subtract(seconds["probe"], seconds["product"])
    chunk = chunk_rows(shape.vocabulary) * shape.vocabulary * hidden.element_size()
    return [
        f"{shape.vocabulary:,}",
        str(shape.width),
        f"{1000 * min(seconds['product']):.0f}",
        f"{ratio(reduction.tolist(), seconds['product']):.2f}",
        "<= 0.50",
        f"{peak / 2**20:.0f}",
        f"{chunk / 2**20:.0f}",
        f"{ROWS * shape.vocabulary * 4 / 2**20:.0f}",
    ]


def main() -> None:
    """Print the table."""
    use_one_thread()
    print_heading(f"Entropy and -log p of {ROWS} rows of logits, as a multiple of the product that makes the logits")
    heads = [
        "vocabulary",
        "width",
        "product ms",
        "entropy / product",
        "target",
        "peak MiB",
        "chunk MiB",
        "all fp32 MiB",
    ]
    print_table(heads, [measure(shape) for shape in SHAPES])


if __name__ == "__main__":
    main()
