"""Paths as people write them."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


class PathError(ValueError):
    """A path cannot be used as it is written. The message never repeats the path, which may be anything."""


def expand_path(text: str | Path) -> Path:
    """The path with `~` and `$NAME` replaced, as a shell does it: settings files and containers do not.

    Raises `PathError` for a user or a variable that does not exist.
    """
    given = str(text)
    if "\0" in given:
        raise PathError("A path has no null character in it.")
    expanded = os.path.expandvars(given)
    if _VARIABLE.search(expanded):
        raise PathError("It names a variable that is not set in the environment.")
    try:
        return Path(expanded).expanduser()
    except RuntimeError:
        raise PathError("There is no user of the name after ~.") from None


def absolute_path(text: str) -> str:
    """The same place for a process with another working directory; what cannot be expanded stays as it is."""
    if text.startswith("/"):
        return text
    try:
        return str(expand_path(text).absolute())
    except PathError:
        return text
