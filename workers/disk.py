"""How much room there is, and what the studio's files take of it."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from gift_core.errors import GiftError
from workers.sharing import STAGED

GIGABYTE = 10**9
_RECENT_SECONDS = 60.0


class DiskFullError(GiftError):
    """There is not enough room for what is asked for."""

    code = "disk_full"


def no_room() -> DiskFullError:
    """The error of a disk, or of a user's share of it, that takes nothing more."""
    return DiskFullError(
        "There is no room left on the disk of the data folder.",
        remedy="Remove runs that are no longer needed, or ask the studio's admin to make room.",
    )


def check_room(folder: Path, floor_bytes: int) -> None:
    """Raises `DiskFullError` where less than `floor_bytes` are free."""
    free = shutil.disk_usage(folder).free
    if free < floor_bytes:
        raise DiskFullError(
            f"The disk is nearly full: {free / GIGABYTE:.1f} GB are free, {floor_bytes / GIGABYTE:.1f} GB are needed.",
            remedy="Remove runs that are no longer needed, or ask the studio's admin to make room.",
        )


def check_quota(sizes: FileSizes, quota_bytes: int) -> None:
    """Raises `DiskFullError` where the studio's files take more than they may."""
    taken = sizes.recent()
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
        self._measured = -math.inf
        self._known: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def recent(self) -> int:
        """The bytes in all, measured a minute ago at the most: where no worker is embedded, nobody else does it."""
        is_old = time.monotonic() - self._measured > _RECENT_SECONDS
        return self.measure() if is_old else sum(self.last.values())

    def measure(self, busy: Collection[str] = ()) -> int:
        """The bytes in all. Folders that are called as in `busy` are being written to, however old they look."""
        with self._lock:
            known, self._known = self._known, {}
            sizes: dict[str, int] = {"store": 0}
            for entry in _entries(self._data):
                if entry.is_dir(follow_symlinks=False):
                    is_copy = entry.name == STAGED
                    found = (self._size(each, known, busy, is_copy) for each in _entries(Path(entry.path)))
                    sizes[entry.name] = sum(found)
                else:
                    sizes["store"] += _bytes(entry)
            self.last, self._measured = sizes, time.monotonic()
            return sum(sizes.values())

    def _size(
        self, entry: os.DirEntry[str], known: dict[Path, tuple[int, int]], busy: Collection[str], is_copy: bool
    ) -> int:
        if is_copy or not entry.is_dir(follow_symlinks=False):
            # Links in there are not told by the time of a folder.
            return _size_of(entry, is_copy)
        path = Path(entry.path)
        with suppress(OSError):
            changed = entry.stat(follow_symlinks=False).st_mtime_ns
            before = known.get(path)
            is_known = before is not None and before[0] == changed and entry.name not in busy
            size = before[1] if before is not None and is_known else folder_bytes(path)
            if entry.name not in busy:
                self._known[path] = (changed, size)
            return size
        return 0


def folder_bytes(folder: Path, *, is_copy: bool = False) -> int:
    """What lies below it; links are not followed. 0 where there is no such folder.

    Of a copy for other hosts, files that this host uses under another name as well take no room of their own.
    """
    return sum(_size_of(entry, is_copy) for entry in _entries(folder))


def _size_of(entry: os.DirEntry[str], is_copy: bool) -> int:
    if entry.is_dir(follow_symlinks=False):
        return folder_bytes(Path(entry.path), is_copy=is_copy)
    return _bytes(entry, is_copy)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    # What is removed in between takes no room.
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _bytes(entry: os.DirEntry[str], is_copy: bool = False) -> int:
    with suppress(OSError):
        found = entry.stat(follow_symlinks=False)
        return 0 if is_copy and found.st_nlink > 1 else found.st_size
    return 0
