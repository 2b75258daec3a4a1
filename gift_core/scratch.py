"""Folders that are written beside where they belong, and take their place when they are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import psutil

from gift_core.files import bring_back, is_set_aside, replace_folder


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A folder, still to be made, that takes the place of `target` when all is written; gone where that fails.

    Whenever the process is killed, `target` is the old folder or the new one, at the latest after `bring_back`.
    """
    if target.is_symlink():
        target = target.resolve()
    bring_back(target)
    with scratch_folder(target) as beside:
        yield beside
        replace_folder(beside, target)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target`, still to be made, that is gone in the end.

    What a process that was killed has left there goes too: it may be as large as the model.
    """
    for left in target.parent.glob(f".{escape(target.name)}.*"):
        is_left = left.suffix[1:].isdecimal() and not psutil.pid_exists(int(left.suffix[1:]))
        if is_left and not is_set_aside(left):
            shutil.rmtree(left, ignore_errors=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)
