"""How much memory the rows of a data set take once they are unpacked: one count, and one limit, for every format."""

from __future__ import annotations

import sys

from gift_core.data.examples import Example
from gift_core.data.limits import MOST_UNPACKED
from gift_core.errors import DataError

_MEGABYTE = 2**20


class TooMuchUnpackedError(DataError):
    """The rows take more memory than may be used for them."""

    code = "too_large"


class Unpacked:
    """Counts bytes as they are unpacked, up to `most`; `field` names the file in the error."""

    def __init__(self, most: int = MOST_UNPACKED, field: str = "data.source.dataset") -> None:
        self._most = most
        self._field = field
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes. Raises `TooMuchUnpackedError` above the limit: call it before they are unpacked."""
        self._bytes += size
        if self._bytes > self._most:
            remedy = "Keep only the columns and rows that are learned from, or split the file."
            if self._most < MOST_UNPACKED:
                remedy += f" On the command line, `gift train` takes files of up to {_megabytes(MOST_UNPACKED)}."
            raise TooMuchUnpackedError(
                f"The rows take more than {_megabytes(self._most)} once they are unpacked.",
                field=self._field,
                remedy=remedy,
            )

    def add_example(self, example: Example) -> None:
        """Count the texts of an example, as they lie in memory: one rare character makes all others wider."""
        texts = (example.prompt, example.response, *(turn.text for turn in example.history))
        self.add(sum(map(sys.getsizeof, texts)))


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:,.0f} MB"
