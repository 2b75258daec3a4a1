"""The data folder: whether a studio can work in it, and that one web server has it at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.context import RATES
from workers.kinds import KINDS
from workers.settings import DATA_DIR, UPLOADS, ConfigurationError
from workers.sharing import STAGED

_LOCK = "server.lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def check_data_folder(folder: Path) -> Path:
    """Make the folder if it is missing, and return its whole path. Raise `ConfigurationError` if it, or one of those
    that the studio has made in it, cannot be written to."""
    check_folder(folder, DATA_DIR)
    for name in ("datasets", "traces", RATES, STAGED, UPLOADS, *(kind.folder for kind in KINDS.values())):
        if os.path.lexists(folder / name):
            check_folder(folder / name, DATA_DIR)
    return folder.resolve()


def check_folder(folder: Path, field: str) -> None:
    """Make a folder if it is missing, and write to it. Raises `ConfigurationError` that names the setting `field`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Gone when it is closed, or when this process is killed.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise _unusable(folder, field, error) from None


@contextmanager
def only_server_of(folder: Path) -> Iterator[None]:
    """Keep other web servers out of the folder until the block ends. Raises `ConfigurationError` if one is in it.

    Tokens and traces are in a server's memory, so two servers of one folder would miss each other's. Workers may share
    it: `gift worker` asks for nothing here.
    """
    path = folder / _LOCK
    try:
        opened = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise _unusable(path, DATA_DIR, error) from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _taken(folder, path) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def clear_uploads(folder: Path) -> None:
    """Remove what an earlier server was sent and did not take. Call it as the only server of the folder."""
    shutil.rmtree(folder / UPLOADS, ignore_errors=True)


def _taken(folder: Path, path: Path) -> ConfigurationError:
    number = path.read_text("utf-8").strip()
    owner = f", process {number}," if number.isdecimal() else ""
    return ConfigurationError(
        f"Another studio{owner} runs in {folder}.",
        field=DATA_DIR,
        remedy="Stop it, or give this one a folder of its own. More workers are started with `gift worker`.",
    )


def _unusable(folder: Path, field: str, error: OSError) -> ConfigurationError:
    in_the_way = _first_file(folder)
    if in_the_way is not None:
        return ConfigurationError(
            f"{in_the_way} is a file and not a folder.", field=field, remedy="Name a folder, or move that file away."
        )
    if folder.is_symlink() and not folder.exists():
        return ConfigurationError(
            f"{folder} is a link that leads to no folder.", field=field, remedy="Make that folder, or name another."
        )
    if error.errno in _NO_ROOM:
        return ConfigurationError(
            f"There is no room left on the disk of {folder}.", field=field, remedy="Make room, or name another folder."
        )
    reason = error.strerror or type(error).__name__
    return ConfigurationError(
        f"{folder} cannot be written to by user {os.geteuid()}: {reason}.",
        field=field,
        remedy=f"Give it to this user (`chown -R {os.geteuid()} {folder}`), or name another folder.",
    )


def _first_file(folder: Path) -> Path | None:
    """What stands in the place of the folder or of one above it, and is no folder."""
    for path in (folder, *folder.parents):
        try:
            if path.exists():
                return None if path.is_dir() else path
        except OSError:
            continue
    return None
