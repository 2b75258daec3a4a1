"""What processes that were killed have left half written."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from sqlmodel import col, select

from gift_core.files import is_set_aside, settle
from workers.context import is_lease
from workers.database import Database
from workers.kinds import KINDS
from workers.records import ACTIVE, Job
from workers.sharing import STAGED

# As `gift_core.scratch` and `gift_core.files` call what takes its place when it is whole, and what it replaces: its
# name, and who writes it.
_SCRATCH = re.compile(r"\.(?P<name>.+?)(\.before)?\.(?P<process>\d+)")
_PARTIAL_UPLOADS = ".partial-*"
# Nobody sends a part of an upload this much later than the last one.
_UPLOAD_SECONDS = 3600


def clear_leftovers(data: Path, database: Database) -> int:
    """Remove scratch folders and files, partial uploads and leases that belong to nobody any more; how many.

    A folder that was set aside, and has lost its place to no other, gets its name again.

    What belongs to a job that some worker has stays, be it on another host.
    """
    found = list(_left_by_jobs(data))
    leases = [(job_id, path) for job_id, path in found if is_lease(path.name)]
    # While nobody can take a job: without its lease, the process of an attempt that begins now would end itself.
    with database.write() as session:
        active = set(session.exec(select(Job.id).where(col(Job.state).in_(ACTIVE))))
        removed = sum(_remove(path) for job_id, path in leases if job_id not in active)
    scratch = [path for job_id, path in found if not is_lease(path.name) and job_id not in active]
    return removed + sum(map(_remove, [*scratch, *_partial_uploads(data / "datasets")]))


def _left_by_jobs(data: Path) -> Iterator[tuple[str, Path]]:
    """With the id of the job that each belongs to."""
    for folder in (root / kind.folder for root in (data, data / STAGED) for kind in KINDS.values()):
        for path in _children(folder):
            scratch = _SCRATCH.fullmatch(path.name)
            if scratch and _is_abandoned(path):
                yield scratch["name"], path
            elif not scratch:
                left = (child for child in _children(path) if is_lease(child.name) or _is_abandoned(child))
                yield from ((path.name, child) for child in left)


def _partial_uploads(folder: Path) -> Iterator[Path]:
    now = time.time()
    for partial in folder.glob(_PARTIAL_UPLOADS):
        with suppress(OSError):
            if now - partial.stat().st_mtime > _UPLOAD_SECONDS:
                yield partial


def clear_scratch(directory: Path) -> None:
    """Remove what processes that are gone have left half written in a job's directory, and bring back what they have
    set aside and not replaced."""
    for path in _children(directory):
        if _is_abandoned(path):
            _remove(path)


def _is_abandoned(path: Path) -> bool:
    scratch = _SCRATCH.fullmatch(path.name)
    return scratch is not None and not _is_alive(int(scratch["process"]))


def _is_alive(process: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        # Of a zombie only the number is left.
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    return False


def _remove(path: Path) -> bool:
    with suppress(OSError):
        if is_set_aside(path):
            settle(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        return True
    return False


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
