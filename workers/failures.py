"""What a visitor is told of an error that nobody foresaw."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gift_core.errors import GiftError, OutOfMemoryError, Problem

logger = logging.getLogger(__name__)


def unexpected(error: Exception, what: str) -> Sequence[Problem]:
    """The reason that is shown, in words that hold nothing of this machine; the log has the rest."""
    from gift_core.out_of_memory import is_out_of_memory

    if is_out_of_memory(error):
        remedy = "Lower the length, or use a smaller model."
        return OutOfMemoryError("The memory did not suffice.", remedy=remedy).problems
    if isinstance(error, OSError):
        return not_written(error).problems
    logger.error("An unexpected error ended %s.", what, exc_info=error)
    return [Problem("An unexpected error occurred.", remedy="The server's log has the details.")]


def not_written(error: OSError) -> GiftError:
    """What to say where the studio cannot keep something: the reason, and no path."""
    logger.error("The studio's files cannot be written: %s", error)
    reason = error.strerror or "the reason is in the server's log"
    return GiftError(
        f"The studio cannot write its files: {reason}.", remedy="Ask whoever runs it to look at its data folder."
    )
