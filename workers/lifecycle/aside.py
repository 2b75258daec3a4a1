"""The files of an attempt that are set aside while another one begins at step 0, or until a discard is final.

They lie in the folder `aside` of the job's own folder. Every step is a rename, and may be the last before a crash:
until that folder is sealed, all else in the job's folder is of the attempt that is set aside; afterwards, nothing is.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gift_core.reporting import SPEC_FILE, write_atomically
from workers.context import JOB_FILE, LOG_FILE, channel, is_lease

ASIDE = "aside"
_SEAL = "seal.json"
_KEPT = frozenset({JOB_FILE, LOG_FILE, SPEC_FILE})
_REPORTS = channel(0).partition("0")


@dataclass(frozen=True)
class Seal:
    """Which attempts are set aside: the one that began at step 0, and the last."""

    first: int
    last: int


def put_aside(directory: Path, first: int, last: int) -> list[Path]:
    """Set the files of the attempts `first` to `last` aside; nothing happens if they are already.

    Returns folders to be removed: those of attempts that were set aside before these.
    """
    aside, sealed = directory / ASIDE, seal_of(directory)
    if sealed == Seal(first, last):
        return []
    outdated = out_of_the_way(aside) if sealed is not None else []
    aside.mkdir(exist_ok=True)
    _rename_all(outputs(directory), aside)
    write_atomically(aside / _SEAL, json.dumps({"first": first, "last": last}))
    return outdated


def put_back(directory: Path, first: int, last: int) -> list[Path]:
    """Bring the files of the attempts `first` to `last` back where they were set aside, even in part.

    Returns folders to be removed: what later attempts have left. Files that were never set aside stay as they are.
    """
    aside, sealed = directory / ASIDE, seal_of(directory)
    if not aside.is_dir() or sealed not in (None, Seal(first, last)):
        return []
    removed = []
    later = [path for number, path in _reports(directory) if number > last]
    if sealed is not None:
        removed = [_scratch(directory)]
        _rename_all([*outputs(directory), *later], removed[0])
        (aside / _SEAL).unlink()
    _rename_all(list(aside.iterdir()), directory)
    aside.rmdir()
    return removed


def drop_aside(directory: Path, last: int) -> list[Path]:
    """Take what is set aside out of the way, if `last` is the last attempt of it; returns folders to be removed."""
    sealed = seal_of(directory)
    return out_of_the_way(directory / ASIDE) if sealed is not None and sealed.last == last else []


def take_away(directory: Path) -> list[Path]:
    """Take all that a job has made out of the way, but for its order and its log; returns folders to be removed."""
    if not directory.is_dir():
        return []
    scratch = _scratch(directory)
    aside = [directory / ASIDE] if (directory / ASIDE).is_dir() else []
    _rename_all([*outputs(directory), *aside, *(path for _, path in _reports(directory))], scratch)
    return [scratch]


def remove(folders: list[Path]) -> None:
    """Remove folders that were taken out of the way. What a crash leaves of them is cleared up later."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def settle(directory: Path, first_attempt: int) -> list[Path]:
    """Decide what a folder `aside` is that the job's record does not know of; returns folders to be removed.

    A crash has left it, or another host has brought its files back or dropped them. They are the job's own if its
    present attempts are those that were set aside, and outdated otherwise.
    """
    sealed = seal_of(directory)
    if sealed is None or sealed.first == first_attempt:
        return put_back(directory, *(sealed.first, sealed.last) if sealed else (0, 0))
    return drop_aside(directory, sealed.last)


def seal_of(directory: Path) -> Seal | None:
    """Return which attempts are set aside; None if there are none, or not all of their files are.

    Raises `OSError` where that cannot be read now: files must not be moved because of it.
    """
    try:
        return Seal(**json.loads((directory / ASIDE / _SEAL).read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def outputs(directory: Path) -> list[Path]:
    """Return what attempts have made, without what every attempt goes on with: the log, the order and the reports."""
    reports = {path for _, path in _reports(directory)}
    return [
        path
        for path in directory.iterdir()
        if path.name not in _KEPT
        and path.name != ASIDE
        and path not in reports
        and not path.name.startswith(".")
        and not is_lease(path.name)
    ]


def _reports(directory: Path) -> Iterator[tuple[int, Path]]:
    prefix, _, suffix = _REPORTS
    for path in directory.glob(f"{prefix}*{suffix}"):
        number = path.name.removeprefix(prefix).removesuffix(suffix)
        if number.isdecimal():
            yield int(number), path


def _rename_all(paths: list[Path], target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in paths:
        path.rename(target / path.name)


def out_of_the_way(folder: Path) -> list[Path]:
    """Rename a folder so that another may take its place; returns what is to be removed."""
    if not folder.is_dir():
        return []
    scratch = _scratch(folder.parent, folder.name)
    folder.rename(scratch)
    return [scratch]


def _scratch(directory: Path, name: str = "dropped") -> Path:
    """A folder that is cleared up when this process has ended: see `workers.leftovers`."""
    return directory / f".{name}-{secrets.token_hex(4)}.{os.getpid()}"
