"""Keeps the data folder within its quota: files of ended jobs go, what can be made again first, the oldest first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from gift_core.errors import GiftError
from gift_core.reporting import TRAINER_DIRECTORY
from workers.database import Database
from workers.disk import GIGABYTE, FileSizes, folder_bytes
from workers.kinds import KINDS
from workers.lifecycle.aside import ASIDE, out_of_the_way, remove, take_away
from workers.lifecycle.attempt_files import drop, may_drop
from workers.lifecycle.snapshots import forget_aside
from workers.recorded import EXPERIMENT_ID
from workers.records import ACTIVE, ENDED, Job, JobKind, JobState, StopMode, Transition
from workers.sharing import Sharing
from workers.store import JobStore

logger = logging.getLogger(__name__)

_BY = "retention"
# What others are made of, or what took long: it goes last.
_LAST = frozenset({JobKind.TRAIN, JobKind.EVALUATE})
_DAY = 24 * 3600


@dataclass(frozen=True)
class Limits:
    """Bytes that the data folder may take, and days for which files of ended jobs are kept; None is no limit."""

    quota: int | None = None
    days: float | None = None


class Retention:
    """Removes files, never records: a job says when its files were removed, and why.

    Files stay of what is pinned, waits or runs, of the recorded example, and of what a job that waits or runs names.
    """

    def __init__(self, database: Database, sharing: Sharing, traces: Path, sizes: FileSizes, limits: Limits) -> None:
        self._database = database
        self._store = JobStore(database)
        self._sharing = sharing
        self._traces = traces
        self._sizes = sizes
        self._limits = limits

    def look(self) -> None:
        """Measure, and remove what is too old or too much."""
        self._remove_old()
        taken, quota = self._measure(), self._limits.quota
        if quota is not None and taken > quota:
            self._remove(taken - quota, f"the data folder was above {quota / GIGABYTE:.3g} GB")
            self._measure()

    def _measure(self) -> int:
        with self._database.read() as session:
            busy = set(session.exec(select(Job.id).where(col(Job.state).in_(ACTIVE))))
        return self._sizes.measure(busy)

    def _remove_old(self) -> None:
        if self._limits.days is None:
            return
        before = time.time() - self._limits.days * _DAY
        for candidate in self._candidates():
            if candidate.ended < before:
                self._remove_files(candidate, f"it had ended more than {self._limits.days:g} days ago")

    def _remove(self, excess: int, why: str) -> None:
        """Free `excess` bytes, or as many as there are to free."""
        candidates = list(self._candidates())
        for step in (
            self._undone(candidates),
            self._unneeded_checkpoints(candidates),
            self._derived(candidates, why),
            self._the_rest(candidates, why),
        ):
            for freed in step:
                excess -= freed
                if excess <= 0:
                    return
        logger.warning("the data folder is above its quota, and nothing is left that may be removed")

    def _undone(self, candidates: Sequence[_Candidate]) -> Iterator[int]:
        """What is kept only so that a discard or a new start can be undone."""
        for each in candidates:
            folder = self._folder(each) / ASIDE
            if each.aside and may_drop(each.aside) and (size := folder_bytes(folder)) and self._free(each):
                drop(self._store, self._sharing, each.aside)
                yield size

    def _unneeded_checkpoints(self, candidates: Sequence[_Candidate]) -> Iterator[int]:
        """What nobody can resume from: the trainer's folders of runs that have finished or were discarded."""
        for each in candidates:
            folder = self._folder(each) / TRAINER_DIRECTORY
            removed: list[Path] = []
            if each.is_over and (size := folder_bytes(folder)) and self._free(each, take=_out_of(folder, removed)):
                remove(removed)
                yield size

    def _derived(self, candidates: Sequence[_Candidate], why: str) -> Iterator[int]:
        """What can be made again: traces, looks at data sets, responses, exports; used or ended longest ago first."""
        found: list[tuple[float, _Candidate | Path]] = []
        found += [(each.ended, each) for each in candidates if each.kind not in _LAST]
        found += [(when, path) for path in self._traces.glob("*") if (when := _used(path)) is not None]
        for _, each in sorted(found, key=lambda entry: entry[0]):
            yield self._remove_files(each, why) if isinstance(each, _Candidate) else _unlinked(each)

    def _the_rest(self, candidates: Sequence[_Candidate], why: str) -> Iterator[int]:
        """Runs and evaluations."""
        for each in candidates:
            if each.kind in _LAST:
                yield self._remove_files(each, why)

    def _candidates(self) -> Iterator[_Candidate]:
        """Ended jobs that may have files to remove, the one that ended first first."""
        columns: Any = (
            Job.id,
            Job.kind,
            Job.state,
            Job.stop_mode,
            Job.ended,
            Job.attempt,
            Job.saved_step,
            Job.aside_attempt,
        )
        removable = (col(Job.state).in_(ENDED), col(Job.pinned).is_(False), col(Job.files_removed).is_(None))
        query = select(Job).options(load_only(*columns)).where(*removable).order_by(col(Job.ended))
        with self._database.read() as session:
            jobs = session.exec(query).all()
        for job in jobs:
            aside = None if job.aside_attempt is None else job
            yield _Candidate(job.id, JobKind(job.kind), _is_over(job), job.ended or 0.0, aside)

    def _remove_files(self, candidate: _Candidate, why: str) -> int:
        """How many bytes that freed; 0 where the files have to stay."""
        folder = self._folder(candidate)
        if not folder.is_dir():
            return 0
        removed: list[Path] = []
        # In one step with the record, which says that they are gone: whoever resumes the job then finds none of them.
        job = self._free(candidate, f"its files were removed: {why}", _all_of(folder, removed))
        if job is None:
            return 0
        before = self._bytes_of(job)
        try:
            remove(removed)
            # Others are to see that they are gone, too.
            self._sharing.keep(job)
        except (GiftError, OSError) as error:
            logger.warning("files of %s could not all be removed: %s", job.id, error)
        freed = before - self._bytes_of(job)
        logger.info("files of %s were removed, %.3g GB: %s", job.id, freed / GIGABYTE, why)
        return freed

    def _free(self, candidate: _Candidate, note: str = "", take: Callable[[], None] = lambda: None) -> Job | None:
        """The job, if nothing needs its files, asked while nobody can begin to; then `take` takes them out of the way.

        `note` says that they all go.
        """
        with self._database.write() as session:
            job = session.get(Job, candidate.id)
            if job is None or job.state not in ENDED or job.pinned or job.experiment_id == EXPERIMENT_ID:
                return None
            # It may have been brought back since it was looked at.
            if _is_over(job) != candidate.is_over or job.id in _named_by_open_jobs(session):
                return None
            take()
            if note:
                job.files_removed = time.time()
                job.saved_step = None
                forget_aside(session, job)
                session.add(Transition(job_id=job.id, before=job.state, after=job.state, owner=_BY, cause=note))
            return job

    def _bytes_of(self, job: Job) -> int:
        used, *copies = self._sharing.folders(job)
        return folder_bytes(used) + sum(folder_bytes(copy, is_copy=True) for copy in copies)

    def _folder(self, candidate: _Candidate) -> Path:
        return self._sharing.data / KINDS[candidate.kind].folder / candidate.id


@dataclass(frozen=True)
class _Candidate:
    """`is_over`: nobody can resume it. `aside`: the job, where it has an attempt set aside."""

    id: str
    kind: JobKind
    is_over: bool
    ended: float
    aside: Job | None = None


def _is_over(job: Job) -> bool:
    return job.state == JobState.FINISHED or job.stop_mode == StopMode.DISCARD


def _out_of(folder: Path, removed: list[Path]) -> Callable[[], None]:
    return lambda: removed.extend(out_of_the_way(folder))


def _all_of(folder: Path, removed: list[Path]) -> Callable[[], None]:
    return lambda: removed.extend(take_away(folder))


def _named_by_open_jobs(session: Session) -> set[str]:
    """Every text in what jobs that wait or run were asked with: the ids of the runs that they need are among them."""
    specs = session.exec(select(Job.spec).where(col(Job.state).not_in(ENDED)))
    return {text for spec in specs for text in _texts(spec)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _used(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def _unlinked(path: Path) -> int:
    with suppress(OSError):
        size = path.stat().st_size
        path.unlink()
        return size
    return 0
