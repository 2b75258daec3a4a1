"""How much room there is, and what the studio's files take of it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from gift_core.errors import GiftError

GIGABYTE = 10**9


class DiskFullError(GiftError):
    """There is not enough room for what is asked for."""

    code = "disk_full"


def check_room(folder: Path, floor_bytes: int) -> None:
    """Raises `DiskFullError` where less than `floor_bytes` are free."""
    free = shutil.disk_usage(folder).free
    if free < floor_bytes:
        raise DiskFullError(
            f"The disk is nearly full: {free / GIGABYTE:.1f} GB are free, {floor_bytes / GIGABYTE:.1f} GB are needed.",
            remedy="Remove runs that are no longer needed, or ask whoever runs the studio to make room.",
        )


def check_quota(sizes: FileSizes, quota_bytes: int) -> None:
    """Raises `DiskFullError` where the studio's files take more than they may."""
    taken = sum(sizes.last.values())
    # Somebody may have removed something since they were measured.
    if taken > quota_bytes and (taken := sizes.measure()) > quota_bytes:
        raise DiskFullError(
            f"The studio's files take {taken / GIGABYTE:.1f} GB of the {quota_bytes / GIGABYTE:.1f} GB that they may.",
            remedy="Remove or unpin runs that are no longer needed.",
        )


class FileSizes:
    """Bytes of what lies in the data folder. What has not changed since the last time is not looked at again.

    `last` is what the last measurement found, by folder; files beside the folders count as `store`.
    """

    def __init__(self, data: Path) -> None:
        self.last: dict[str, int] = {}
        self._data = data
        self._known: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def measure(self, busy: Collection[str] = ()) -> int:
        """The bytes in all. Folders that are called as in `busy` are being written to, however old they look."""
        with self._lock:
            known, self._known = self._known, {}
            sizes: dict[str, int] = {"store": 0}
            for entry in _entries(self._data):
                if entry.is_dir(follow_symlinks=False):
                    sizes[entry.name] = sum(self._size(each, known, busy) for each in _entries(Path(entry.path)))
                else:
                    sizes["store"] += _bytes(entry)
            self.last = sizes
            return sum(sizes.values())

    def _size(self, entry: os.DirEntry[str], known: dict[Path, tuple[int, int]], busy: Collection[str]) -> int:
        if not entry.is_dir(follow_symlinks=False):
            return _bytes(entry)
        path = Path(entry.path)
        with suppress(OSError):
            changed = entry.stat(follow_symlinks=False).st_mtime_ns
            before = known.get(path)
            fresh = before is None or before[0] != changed or entry.name in busy
            size = folder_bytes(path) if fresh or before is None else before[1]
            if entry.name not in busy:
                self._known[path] = (changed, size)
            return size
        return 0


def folder_bytes(folder: Path) -> int:
    """What lies below it; links are not followed. 0 where there is no such folder."""
    return sum(
        folder_bytes(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else _bytes(entry)
        for entry in _entries(folder)
    )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    # What is removed in between takes no room.
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _bytes(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        found = entry.stat(follow_symlinks=False)
        # What is shared with other hosts has two names here, and takes its room once.
        return found.st_size // max(1, found.st_nlink)
    return 0
