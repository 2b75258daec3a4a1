"""Whether two mathematical answers are equal, by math-verify in a process that can be killed."""

from __future__ import annotations

from pathlib import Path

from gift_core.bounded.process import BoundedProcess
from gift_core.errors import GiftError


class Equivalence:
    """Compares answers one by one; safe in threads.

    math-verify limits its own time with signals, which only a main thread can set, and which do not interrupt a long
    power.
    """

    def __init__(self) -> None:
        self._process = BoundedProcess(Path(__file__).with_name("equivalence_worker.py"))

    def equal(self, reference: str, answer: str) -> bool:
        """Whether math-verify finds them equal; a comparison beyond the limits of `equivalence_worker` is not.

        Raises `GiftError` when math-verify cannot be started.
        """
        try:
            return self._process.ask([reference, answer]) == "true\n"
        except OSError as error:
            raise GiftError(
                "math-verify, which compares the answers of MATH-500, cannot be started.",
                remedy="Install it: pip install math-verify.",
            ) from error
