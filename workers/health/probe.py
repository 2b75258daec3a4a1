"""Tries what every job needs of its machine: descriptors, memory, and a folder that can be written to."""

from __future__ import annotations

import errno
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from gift_core.errors import GiftError, Problem
from workers.disk import check_room, no_room
from workers.health.faults import NO_ROOM
from workers.kinds import KINDS
from workers.records import JobKind

logger = logging.getLogger(__name__)

# To begin a job takes its log, its process's pipes, its lease and connections to the store.
_DESCRIPTORS = 16
_MEMORY_BYTES = 32 * 2**20
_RECENT_SECONDS = 1.0
# Touching a folder of a file server that does not answer never returns.
_PATIENCE_SECONDS = 5.0
_GOES_ON = "Jobs that wait go on by themselves then."

Check = Callable[[], None]


class NotReadyError(GiftError):
    """Something that the studio needs does not work."""

    code = "not_ready"


class Probe:
    """Looks whether the machine lets jobs be carried out in the data folder; what it found counts for a second.

    `servers` are asked too, by a worker alone: each is silent or raises a `GiftError`.
    """

    def __init__(
        self,
        data: Path,
        floor_bytes: int = 0,
        servers: Mapping[str, Check] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._servers = dict(servers or {})
        self._clock = clock
        self._checks: dict[str, Check] = {
            "descriptors": _check_descriptors,
            "memory": _check_memory,
            "folder": lambda: _check_folder(data),
            "room": lambda: check_room(data, floor_bytes),
        }
        self._once = threading.Lock()
        self._found: dict[str, GiftError] = {}
        self._looked = -float("inf")

    def check(self, *names: str) -> None:
        """Raise what was found to be wrong with one of these, or with anything here where none is named: a
        `NotReadyError`, or a `DiskFullError` where there is no room."""
        found = self._here()
        for name in names or tuple(self._checks):
            if name in found:
                # It is raised more than once, and would carry a longer traceback each time.
                raise found[name].with_traceback(None)

    def problem(self, *, fresh: bool = False) -> Problem | None:
        """Return the first thing that is wrong, here or with a server; `fresh` forgets what it found a moment ago."""
        if fresh:
            self._looked = -float("inf")
        for error in self._here().values():
            return error.problems[0]
        for name, check in self._servers.items():
            if (failure := _error_of(name, check)) is not None:
                # In these words: what an error of a server says may be about this machine.
                logger.warning("the %s does not answer: %s", name, failure)
                return Problem(f"The {name} does not answer.", remedy=f"Look at its server. {_GOES_ON}")
        return None

    def _here(self) -> dict[str, GiftError]:
        if not self._once.acquire(timeout=_PATIENCE_SECONDS):
            return {"folder": _not_ready("The data folder does not answer.", "Look at the disk or the server of it.")}
        try:
            if self._clock() - self._looked > _RECENT_SECONDS:
                self._found = {name: error for name, check in self._checks.items() if (error := _error_of(name, check))}
                self._looked = self._clock()
            return self._found
        finally:
            self._once.release()


def _error_of(name: str, check: Check) -> GiftError | None:
    try:
        check()
    except GiftError as error:
        return error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return _not_ready(f"The {name} cannot be looked at: {reason}.", "Look at the machine.")
    return None


def _check_descriptors() -> None:
    opened: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        reason = error.strerror or "none can be opened"
        raise _not_ready(
            f"No further files can be opened: {reason}.",
            "Raise the limit of open files (`ulimit -n`), or find the program that holds them open.",
        ) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _check_memory() -> None:
    if psutil.virtual_memory().available < _MEMORY_BYTES:
        raise _not_ready("The machine has no memory left.", "End what takes it, or add some.")
    try:
        # As a process does, it counts as a task, of which a user or a container may have a limited number.
        thread = threading.Thread(target=lambda: None, name="probe", daemon=True)
        thread.start()
    except (RuntimeError, MemoryError):
        raise _not_ready(
            "No further thread or process can be started.", "Raise the limit of tasks (`ulimit -u`), or free memory."
        ) from None
    thread.join()
    if not os.access(sys.executable, os.X_OK):
        raise _not_ready("The studio's Python cannot be started.", "Put its environment back.")


def _check_folder(data: Path) -> None:
    """Write a file to where runs are made, and look whether the other folders can be written to."""
    try:
        folders = [data, *(data / kind.folder for kind in KINDS.values() if os.path.lexists(data / kind.folder))]
        for folder in folders:
            _require_writable(folder)
        runs = data / KINDS[JobKind.TRAIN].folder
        # Gone when it is closed, or when this process is killed.
        with tempfile.TemporaryFile(dir=runs if runs in folders else data, buffering=0) as probe:
            probe.write(bytes(4096))
            os.fsync(probe.fileno())
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room() from None
        raise _not_ready(
            f"The data folder cannot be written to: {error.strerror or type(error).__name__}.",
            "Look at its disk, how it is mounted and who may write to it.",
        ) from None


def _require_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        # It says no more; root may write whatever the permissions are, but not to what is mounted to be read.
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        number = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(number, os.strerror(number))


def _not_ready(message: str, remedy: str) -> NotReadyError:
    return NotReadyError(message, remedy=f"{remedy} {_GOES_ON}")
