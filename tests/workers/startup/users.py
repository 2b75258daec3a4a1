"""Errors as a user sees them who is not root, whoever runs the tests."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core.errors import GiftError
from workers.settings import ConfigurationError

NOBODY = 65_534


def refused(use: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as error:
        use()
    return str(error.value)


def open_to_all(folder: Path) -> None:
    """Let anybody come as far as below this folder of a test."""
    for path in (folder, *folder.parents[:-2]):
        path.chmod(0o755)


def as_nobody(use: Callable[[], object]) -> str:
    """What an error says in a process of a user that owns nothing here; of the user of the tests, unless that is root.

    Everything that it imports has to be imported already: that user may not be able to read the interpreter's files.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            use()
        except GiftError as error:
            said = str(error)
        except BaseException:
            said = f"not an error meant for a person: {traceback.format_exc()}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said
