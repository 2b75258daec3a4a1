"""What people are told of errors: the causes of failed jobs, and what nobody foresaw."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from gift_core.errors import GiftError, OutOfMemoryError, Problem
from workers.health.faults import NO_ROOM, fault_of_machine
from workers.outcome import DISK_FULL, Failure, machine_failure

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


def of_gift_error(error: GiftError) -> Failure:
    """The same of an error that was meant for the user."""
    first = error.problems[0]
    if len(error.problems) > 1:
        return Failure(code=error.code, message=str(error))
    return Failure(code=error.code, message=first.message, field=first.field, remedy=first.remedy)


def failure_of(error: Exception, data: Path) -> Failure:
    """What the user is told; the traceback stays in the log. `data` is the studio's folder."""
    from gift_core.out_of_memory import is_out_of_memory, out_of_memory_somewhere

    if is_out_of_memory(error):
        error = out_of_memory_somewhere()
    elif (fault := fault_of_machine(error, data)) is not None:
        # Also if it was reported as a file of the user's that cannot be read.
        return machine_failure(fault)
    if isinstance(error, GiftError):
        return of_gift_error(error)
    if is_want_of_room(error):
        return DISK_FULL
    return Failure(
        code="internal",
        message=f"It failed unexpectedly ({type(error).__name__}).",
        remedy="See the end of its log.",
    )


def is_want_of_room(error: Exception) -> bool:
    """Whether an error says that something could not be written because there is no room for it."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    # Other writers raise errors that only their text tells apart.
    text = str(error).lower()
    return any(phrase in text for phrase in (*(os.strerror(number).lower() for number in NO_ROOM), *_TORCH_WROTE_LESS))


# What `torch.save` says where the file took less than it was given, large and small; of the reason it says nothing.
_TORCH_WROTE_LESS = ("unexpected pos ", "basic_ios::clear: iostream error")
