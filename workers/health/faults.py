"""Which errors are the fault of the machine, and say nothing about the job that met them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gift_core.errors import GiftError

# Of the whole machine, or of this process: whichever file was to be opened.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOLCK, errno.ENOBUFS})
# Of a file system, and so the studio's only if the file is.
_OF_FILES = frozenset(
    {
        *(errno.EIO, errno.EROFS, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV),
        *(errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EREMOTEIO, errno.ENOTDIR, errno.ELOOP),
    }
)
# A disk, or a user's share of it, that takes nothing more.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# Of a file that is there, and that this process may not use: it does not go away by waiting.
_REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP})
# What libraries that are not written in Python quote in errors of their own.
_QUOTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS, errno.ESTALE})
_NO_THREAD = "can't start new thread"
# `a` fails because of `b`, which fails because of `c`; nothing real is longer.
_LONGEST_CHAIN = 10


def fault_of_machine(error: BaseException, folder: Path) -> str | None:
    """What was wrong with the machine, in words without a path, if an error or what led to it says so; None otherwise.

    `folder` is the studio's: what may not be read or written elsewhere is another matter. A full disk is none of these:
    see `is_want_of_room`.
    """
    if isinstance(error, MemoryError):
        # Not further down: what a job says of memory that it could not have tells more.
        return os.strerror(errno.ENOMEM)
    return next((fault for each in _chain(error) if (fault := _fault(each, folder))), None)


def os_error_of_machine(error: BaseException, folder: Path) -> OSError | None:
    """Return the error in a chain of errors that is a fault of the machine or a full disk; None if there is none."""
    return next(
        (
            each
            for each in _chain(error)
            if isinstance(each, OSError) and (each.errno in NO_ROOM or _fault(each, folder) is not None)
        ),
        None,
    )


def is_refusal_of(error: BaseException, folder: Path) -> bool:
    """Whether an error, or what led to it, says that a file in a folder may not be used."""
    return any(
        isinstance(each, OSError) and each.filename is not None and each.errno in _REFUSALS and _is_of(each, folder)
        for each in _chain(error)
    )


def is_missing(error: OSError) -> bool:
    """Return whether an error says that the file does not exist. Other errors leave that open."""
    return error.errno == errno.ENOENT


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if found is None:
            return
        yield found
        # Also behind `from None`, which hides from people what a program may want to know.
        found = found.__cause__ or found.__context__


def _fault(error: BaseException, folder: Path) -> str | None:
    if isinstance(error, OSError) and error.errno is not None:
        is_ours = error.errno in _EXHAUSTED or (error.errno in _OF_FILES and _is_of(error, folder))
        return os.strerror(error.errno) if is_ours else None
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return "No thread can be started"
    if isinstance(error, GiftError):
        return None
    text = str(error)
    return next((said for number in sorted(_QUOTED) if (said := os.strerror(number)) in text), None)


def _is_of(error: OSError, folder: Path) -> bool:
    # Reading from and writing to a file that is open says no name.
    if not isinstance(error.filename, str | bytes):
        return error.errno not in (errno.EACCES, errno.EPERM)
    return Path(os.fsdecode(error.filename)).absolute().is_relative_to(folder.absolute())
