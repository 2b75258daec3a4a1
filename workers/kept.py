"""What the services for the pages have in common: jobs under way by what was asked for, and results kept as files."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gift_core.errors import GiftError
from workers.fairness.requester import Requester
from workers.fairness.semaphore import FairSemaphore
from workers.fairness.shares import Refusal, Shares
from workers.store import ConflictError


class Job(Protocol):
    """`cancelled` asks it to end, `ended` says that it has; `withdraw` ends it where it has not begun.

    `by` began it.
    """

    @property
    def id(self) -> str: ...
    @property
    def by(self) -> Requester: ...
    @property
    def ended(self) -> bool: ...
    @property
    def cancelled(self) -> threading.Event: ...
    def withdraw(self) -> None: ...


J = TypeVar("J", bound=Job)


class TooManyJobsError(GiftError):
    """Somebody has begun as much as they may at once."""

    code = "too_many_requests"


class Jobs(Generic[J]):
    """Jobs by id: those that wait or run, `at_once` in threads, and `remembered` ended ones that left no file.

    `busy` says, after their number, what those who wait are doing. At most `most` wait or run, and `most_own` of one
    requester; requesters take turns, and share both numbers as `Shares` says.
    """

    def __init__(self, name: str, busy: str, *, at_once: int, most: int, most_own: int, remembered: int) -> None:
        self._busy = busy
        self._most = most
        self._most_own = most_own
        self._remembered = remembered
        self._jobs: OrderedDict[str, J] = OrderedDict()
        self._lock = threading.RLock()
        # Those that wait for their turn have a thread each.
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._turns = FairSemaphore(at_once, most_own)

    def get(self, identity: str) -> J | None:
        with self._lock:
            return self._jobs.get(identity)

    def newest_first(self) -> list[J]:
        with self._lock:
            return list(reversed(self._jobs.values()))

    def begin(
        self, identity: str, otherwise: Callable[[], J | None], make: Callable[[], J], run: Callable[[J], None]
    ) -> J:
        """The job under way, or what `otherwise` finds, or a new one.

        Raises `ConflictError` when too many wait, and `TooManyJobsError` when those of one person do.
        """
        with self._lock:
            known = self._jobs.get(identity)
            if known and not known.ended and not known.cancelled.is_set():
                return known
            if found := otherwise():
                return found
            job = make()
            self._check_room(job.by)
            self._jobs[identity] = job
            self._jobs.move_to_end(identity)
            self._forget()
        try:
            self._pool.submit(self._run, job, run)
        except RuntimeError:
            # No thread can be started. What never runs must not count as under way.
            self.drop(job)
            raise
        return job

    def _run(self, job: J, run: Callable[[J], None]) -> None:
        with self._turns.held(job.by):
            run(job)

    def _check_room(self, by: Requester) -> None:
        under_way = [job.by for job in self._jobs.values() if not job.ended]
        shares = Shares(self._most, self._most_own)
        for each in under_way:
            shares.take(each)
        refusal = shares.refusal(by)
        if refusal is Refusal.OWN:
            raise TooManyJobsError(
                f"{under_way.count(by)} of yours {self._busy}.", remedy="Cancel one, or wait until one has ended."
            )
        if refusal is Refusal.ALL:
            raise ConflictError(f"{len(under_way)} {self._busy}.", remedy="Try again when some have ended.")

    def drop(self, job: J) -> None:
        """Its result has become a file. Unless it was cancelled in its last moment, and asked for again."""
        with self._lock:
            if self._jobs.get(job.id) is job:
                del self._jobs[job.id]

    def close(self) -> None:
        """Cancel everything, and wait for what runs."""
        for job in self.newest_first():
            cancel(job)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget(self) -> None:
        ended = (identity for identity, job in list(self._jobs.items()) if job.ended)
        while len(self._jobs) > self._remembered and (oldest := next(ended, None)):
            del self._jobs[oldest]


def cancel(job: Job) -> None:
    """Ask a job to end; one that has not begun ends at once, an ended one is left alone."""
    job.cancelled.set()
    job.withdraw()


class KeptFiles:
    """Files named by ids such as `tr_0a1b…`; of more than `most`, those used longest ago go."""

    def __init__(self, directory: Path, prefix: str, suffix: str, most: int) -> None:
        self._directory = directory
        self._prefix, self._suffix, self._most = prefix, suffix, most
        self._id = re.compile(rf"{prefix}_[0-9a-f]{{32}}")

    def path(self, identity: str) -> Path | None:
        """Where its file is or will be; None for what is no id, as it may come from an address."""
        return self._directory / f"{identity}{self._suffix}" if self._id.fullmatch(identity) else None

    def used(self, path: Path) -> None:
        """Note that it was asked for."""
        with suppress(OSError):
            path.touch()

    def latest(self) -> list[Path]:
        """All files, those used last first."""
        return [path for _, path in self.by_age()]

    def by_age(self) -> list[tuple[int, Path]]:
        """The same, each with a number that is larger for what was used longer ago; it is never 0."""
        return sorted((_age(path), path) for path in self._directory.glob(f"{self._prefix}_*{self._suffix}"))

    def name(self, path: Path) -> str:
        """The id of a file."""
        return path.name.removesuffix(self._suffix)

    def remove_oldest(self) -> None:
        for path in self.latest()[self._most :]:
            path.unlink(missing_ok=True)


def _age(path: Path) -> int:
    """A file that has just gone counts as the oldest."""
    with suppress(OSError):
        return -path.stat().st_mtime_ns
    return 1
