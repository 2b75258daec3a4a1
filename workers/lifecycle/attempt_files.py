"""The files that a job had before an attempt began, and those that the attempt has saved so far."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from socket import gethostname

from gift_core.errors import GiftError
from gift_core.recovery import last_sealed_step
from workers.kinds import job_directory
from workers.lifecycle import aside
from workers.records import ENDED, Job, JobKind, StopMode
from workers.sharing import Sharing
from workers.store import JobStore

logger = logging.getLogger(__name__)

# For this long at the least, a new start or a discard can be undone.
UNDO_SECONDS = 60.0
_LOOK_SECONDS = 1.0


class Saves:
    """Tells the store of the last checkpoint that an attempt at a job has left, or found."""

    def __init__(self, store: JobStore, job: Job, directory: Path) -> None:
        self._store = store
        self._job = job
        self._directory = directory
        self._told = job.saved_step
        self._due = 0.0

    @property
    def step(self) -> int | None:
        """The step of the last checkpoint; for evaluations and prompts, the number of answers."""
        return self._told if self._job.kind == JobKind.TRAIN else self._store.job(self._job.id).saved_step

    def look_now_and_then(self) -> bool:
        """Look once a second; true if the attempt, a training, has a checkpoint by then."""
        if self._job.kind != JobKind.TRAIN or time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + _LOOK_SECONDS
        self.look()
        return self._told is not None

    def look(self) -> None:
        """Tell the store if there is another checkpoint than before."""
        if self._job.kind != JobKind.TRAIN:
            return
        found = last_sealed_step(self._directory)
        if found != self._told and self._store.saved(self._job.id, self._job.owner or "", found):
            self._told = found


class EarlierAttempts:
    """What a job had before it started over, during one attempt at it."""

    def __init__(self, store: JobStore, job: Job, directory: Path) -> None:
        self._store = store
        self._job = job
        self._directory = directory
        self._began = time.monotonic()
        self._aside = job.aside_attempt
        self._removed: list[Path] = []

    def arrange(self) -> None:
        """Set the files aside that the attempt must not find, and bring those back that it goes on with."""
        before, last = self._job.set_aside, self._aside
        if before is not None and last is not None:
            self._removed += aside.put_aside(self._directory, before["first_attempt"], last)
        else:
            self._removed += aside.settle(self._directory, self._job.first_attempt)

    def clean(self) -> None:
        """Remove what was taken out of the way."""
        aside.remove(self._removed)
        self._removed.clear()

    def drop_after_a_while(self) -> None:
        """Let go of what is set aside, now that there is a checkpoint, once it could be undone for long enough."""
        if time.monotonic() - self._began >= UNDO_SECONDS:
            self.drop()

    def drop(self) -> None:
        """Let go of what is set aside, unless it is to be brought back."""
        if self._aside is not None and self._store.drop_aside(self._job.id, self._aside, self._job.owner):
            dropped, self._aside = self._aside, None
            aside.remove(aside.drop_aside(self._directory, dropped))

    def bring_back(self) -> bool:
        """Make the job what it was before it started over; False if nothing is set aside."""
        if self._aside is None:
            return False

        def put_back(first: int, last: int) -> None:
            self._removed += aside.put_back(self._directory, first, last)

        owner = self._job.owner or ""
        is_back = self._store.bring_back(self._job.id, owner, "brought back", put_back, owner=owner) is not None
        self.clean()
        return is_back

    def discard(self, *, undoable: bool) -> None:
        """Set aside what the job has made so far, or remove it if that cannot be resumed."""

        def put_aside(job: Job) -> None:
            self._removed += aside.put_aside(self._directory, job.first_attempt, job.attempt)

        def take_away(_: Job) -> None:
            self._removed += aside.take_away(self._directory)

        if undoable:
            self._store.discard(self._job.id, self._job.owner or "", put_aside)
        else:
            self._store.discard(self._job.id, self._job.owner or "", take_away, forget=True)
        self.clean()


class AsideSweep:
    """Drops what ended jobs have set aside, once it could be undone for long enough. Call `look` every few seconds.

    The time is this process's own: clocks may jump.
    """

    def __init__(
        self, store: JobStore, sharing: Sharing, clock: Callable[[], float] = time.monotonic, host: str | None = None
    ) -> None:
        self._store = store
        self._sharing = sharing
        self._clock = clock
        self._host = host or gethostname()
        self._seen: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        """Note what is set aside, and drop what was there long enough."""
        now, before, self._seen = self._clock(), self._seen, {}
        for job in self._store.with_aside():
            if not may_drop(job) or job.host != self._host:
                continue
            key = (job.id, job.aside_attempt or 0)
            self._seen[key] = before.get(key, now)
            if now - self._seen[key] >= UNDO_SECONDS:
                drop(self._store, self._sharing, job)


def may_drop(job: Job) -> bool:
    """Whether what an ended job has set aside was discarded, or is replaced by a newer checkpoint.

    Not if it was to be brought back, by a worker that was lost before it did so.
    """
    is_discarded = job.stop_mode == StopMode.DISCARD and job.aside_attempt == job.attempt
    is_replaced = job.saved_step is not None and job.stop_mode != StopMode.RESTORE
    return job.state in ENDED and (is_discarded or is_replaced)


def drop(store: JobStore, sharing: Sharing, job: Job) -> None:
    """Remove what an ended job has set aside, unless it was brought back meanwhile."""
    if job.aside_attempt is None or not store.drop_aside(job.id, job.aside_attempt):
        return
    # Another attempt may have begun since, and have set aside what came after.
    aside.remove(aside.drop_aside(job_directory(sharing.data, job), job.aside_attempt))
    try:
        sharing.keep(job)
    except GiftError as error:
        logger.warning("that job %s has nothing set aside any more could not be shared: %s", job.id, error)
