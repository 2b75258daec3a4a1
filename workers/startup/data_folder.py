"""The data folder: whether a studio can work in it, and that one web server has it at a time."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.context import RATES
from workers.health.faults import NO_ROOM
from workers.kinds import KINDS
from workers.settings import DATA_DIR, UPLOADS, ConfigurationError
from workers.sharing import STAGED
from workers.startup.files import check_file, named_by_shell, was_made_for

logger = logging.getLogger(__name__)

_LOCK = "server.lock"
_LOCKS = (_LOCK, ".housekeeping.lock")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_OWN_FOLDERS = ("datasets", "traces", RATES, STAGED, UPLOADS, *(kind.folder for kind in KINDS.values()))
_OWN_FILES = ("studio.sqlite3", "queue.sqlite3", *_LOCKS)
# Of a process that writes into the folder, and of those that it starts.
_UMASK = 0o077
_LONGEST_NUMBER = 20


def keep_files_private() -> None:
    """Make the files of this process, and of those that it starts, readable by its own user alone."""
    os.umask(_UMASK)


def check_data_folder(folder: Path) -> Path:
    """Make the folder if it is missing, and return its whole path. Raise `ConfigurationError` if it, or one of those
    that the studio has made in it, cannot be written to."""
    check_folder(folder, DATA_DIR)
    for name in _OWN_FOLDERS:
        if os.path.lexists(folder / name):
            check_folder(folder / name, DATA_DIR)
    for name in _LOCKS:
        check_file(folder / name, DATA_DIR)
    return folder.resolve()


def check_folder(folder: Path, field: str) -> None:
    """Make a folder if it is missing, and write to it. Raises `ConfigurationError` that names the setting `field`."""
    try:
        if not folder.is_dir():
            # Other users of the machine may not read what a studio keeps.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Gone when it is closed, or when this process is killed.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise _unusable(folder, field, error) from None


def warn_of_readers(folder: Path) -> None:
    """Log a warning if other users of this machine can read what is in the folder."""
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning(
            "%s can be entered by other users of this machine, who may read prompts and data sets there. "
            "`chmod -R go-rwx %s` keeps them out.",
            folder,
            named_by_shell(folder),
        )


@contextmanager
def only_server_of(folder: Path) -> Iterator[None]:
    """Keep other web servers out of the folder until the block ends. Raises `ConfigurationError` if one is in it.

    Tokens and traces are in a server's memory, so two servers of one folder would miss each other's. Workers may share
    it: `gift worker` asks for nothing here.
    """
    path = folder / _LOCK
    check_file(path, DATA_DIR)
    try:
        opened = path.open("a+", encoding="utf-8", errors="replace")
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
    with path.open("rb") as lock:
        number = lock.read(_LONGEST_NUMBER).strip()
    owner = f", process {int(number)}," if number.isdigit() else ""
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
    if folder.is_symlink() and not _is_there(folder):
        return ConfigurationError(
            f"{folder} is a link that leads to no folder.", field=field, remedy="Make that folder, or name another."
        )
    if error.errno in NO_ROOM:
        return ConfigurationError(
            f"There is no room left on the disk of {folder}.", field=field, remedy="Make room, or name another folder."
        )
    reason = error.strerror or type(error).__name__
    return ConfigurationError(
        f"{folder} cannot be written to by user {os.geteuid()}: {reason}.",
        field=field,
        remedy=_remedy(folder, error),
    )


def _remedy(folder: Path, error: OSError) -> str:
    """What helps where a folder cannot be written to. Whoever follows it must not give away a folder of the system."""
    if error.errno == errno.EROFS:
        return "Mount that file system so that it can be written to, or name another folder."
    if error.errno not in (errno.EACCES, errno.EPERM):
        return "Name another folder."
    user, name = os.geteuid(), named_by_shell(folder)
    if not _is_there(folder):
        return f"Make it for this user (`sudo install -d -m 700 -o {user} {name}`), or name another folder."
    if not was_made_for(folder, (*_OWN_FOLDERS, *_OWN_FILES)) and folder.name not in _OWN_FOLDERS:
        return "Name a folder of the studio's own: other things are in this one, or it may not be looked into."
    volume = "; a volume of a container has its own name on the host" if os.path.ismount(folder) else ""
    return f"Give it to this user (`sudo chown -R {user} {name}`{volume}), or name another folder."


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _first_file(folder: Path) -> Path | None:
    """What stands in the place of the folder or of one above it, and is no folder."""
    for path in (folder, *folder.parents):
        try:
            if path.exists():
                return None if path.is_dir() else path
        except OSError:
            continue
    return None
