"""An example before tokenisation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """`id` is the row (from 1 for files, from 0 for generated tasks) and keys the example's noise."""

    id: int
    prompt: str
    response: str
