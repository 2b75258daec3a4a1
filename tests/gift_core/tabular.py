"""A joint distribution over a few tokens, small enough to know every conditional exactly."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np


class Joint:
    """p(x) over `tokens` positions with `symbols` symbols each; fp64."""

    def __init__(self, tokens: int, symbols: int, random: np.random.Generator) -> None:
        self.tokens, self.symbols = tokens, symbols
        self.table = random.dirichlet(np.full(symbols**tokens, 0.5)).reshape((symbols,) * tokens)

    def texts(self) -> list[tuple[int, ...]]:
        return list(product(range(self.symbols), repeat=self.tokens))

    def nll(self, text: tuple[int, ...]) -> float:
        """-log p(x) in nats."""
        return float(-np.log(self.table[text]))

    def conditional(self, text: tuple[int, ...], masked: frozenset[int], position: int) -> float:
        """p(x_position | the tokens that are not masked)."""
        visible = tuple(slice(None) if i in masked else text[i] for i in range(self.tokens))
        both = tuple(text[i] if i not in masked or i == position else slice(None) for i in range(self.tokens))
        return float(np.sum(self.table[both]) / np.sum(self.table[visible]))

    def subsets(self) -> list[frozenset[int]]:
        """Every set of positions that may be masked."""
        return [
            frozenset(chosen) for size in range(self.tokens + 1) for chosen in combinations(range(self.tokens), size)
        ]
