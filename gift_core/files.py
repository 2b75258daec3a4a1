"""Files and folders that appear whole, and stay when the machine loses its power.

A folder cannot take the place of another in one step: the old one is renamed, then the new one. A process that is
killed in between leaves no folder of that name, and the old one beside it; `bring_back` gives it its name again.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from glob import escape
from pathlib import Path

import psutil

# What is set aside while another folder takes its place: its name, and the process that does it.
_SET_ASIDE = re.compile(r"\.(?P<name>.+)\.before\.(?P<process>\d+)")
# Another process may have brought the old folder back between the two renames.
_MOST_TRIES = 5
# What file systems answer that cannot write a folder's entries to the disk on request.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF)


def sync(path: Path) -> None:
    """Have the disk hold what is in a file, or which files are in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(opened)


def sync_all(folder: Path) -> None:
    """Have the disk hold a folder with everything below it."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            sync(path)
    sync(folder)


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never half of one.

    Unless it is not `durable`, the disk holds it when this returns: what depends on it may be removed then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        sync(path.parent)


def replace_folder(new: Path, target: Path) -> None:
    """Rename the folder `new` to `target`, in the place of what is there, which is removed last."""
    sync_all(new)
    aside = target.with_name(f".{target.name}.before.{os.getpid()}")
    for tries in range(_MOST_TRIES):
        _remove(aside)
        with suppress(FileNotFoundError):
            target.rename(aside)
        try:
            new.rename(target)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or tries == _MOST_TRIES - 1:
                bring_back(target)
                raise
    sync(target.parent)
    _remove(aside)


def bring_back(target: Path) -> None:
    """Give a folder its name again that was set aside by a process which was killed before it had put another there."""
    for path in sorted(target.parent.glob(f".{escape(target.name)}.before.*")):
        settle(path)


def is_set_aside(path: Path) -> bool:
    """Whether the name says that the folder was set aside while another one took its place."""
    return _SET_ASIDE.fullmatch(path.name) is not None


def settle(path: Path) -> None:
    """Give a folder that was set aside its name again, or remove it where another has taken its place."""
    found = _SET_ASIDE.fullmatch(path.name)
    if found is None:
        return
    target = path.with_name(found["name"])
    if not os.path.lexists(target):
        # Another process may do the same.
        with suppress(FileNotFoundError):
            path.rename(target)
    elif int(found["process"]) == os.getpid() or not psutil.pid_exists(int(found["process"])):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
