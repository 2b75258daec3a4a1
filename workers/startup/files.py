"""Single files of the studio: whether each is a file, and may be written to."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from shlex import quote

from workers.settings import ConfigurationError

_CALLED = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def check_file(path: Path, field: str) -> None:
    """Raise `ConfigurationError`, which names the setting `field`, for what is there and is no file, or may only be
    read. A file that is missing can be made."""
    if not os.path.lexists(path):
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} is a link that leads to no file.", field=field, remedy="Remove the link, or name another folder."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be opened: {error.strerror}.", field=field, remedy="Name another folder."
        ) from None
    if not stat.S_ISREG(mode):
        kind = _CALLED.get(stat.S_IFMT(mode), "something else")
        raise ConfigurationError(
            f"{path} is {kind} and not a file.", field=field, remedy="Move it away, or name another folder."
        )
    if not os.access(path, os.R_OK | os.W_OK):
        user = os.geteuid()
        raise ConfigurationError(
            f"{path} cannot be written to by user {user}.",
            field=field,
            remedy=f"Give it to this user (`sudo chown {user} {named_by_shell(path)}`), or name another folder.",
        )


def named_by_shell(path: Path) -> str:
    """The whole path as it is written in a command."""
    return quote(str(path.absolute()))


def was_made_for(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder is empty, or holds something of these names; false for one that may not be looked into."""
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError:
        return False
    return not found or not found.isdisjoint(names)
