"""What a running job does not say of itself: that nothing happens any more, or that it is certain of everything."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from workers.records import Job, JobKind, JobState

# A whole upload, or a conversion, is one step.
_PATIENCE: dict[str, float] = {JobKind.EXPORT: 4.0, JobKind.PUSH: 12.0}
# Of the mean entropy: reports that the start is taken from, and that have to be low one after the other.
BASELINE_REPORTS = 3
_LOW_REPORTS = 3
ENTROPY = "mean_entropy"


@dataclass(frozen=True)
class Alarm:
    """Of an attempt at a job; `values` are what it was raised for."""

    job: Job
    event: str
    values: dict[str, float]


@dataclass
class _Silence:
    """What an attempt had last reported, since when, and how often its worker has been heard of meanwhile."""

    reported: tuple[object, ...]
    since: float
    heartbeat: int
    told: bool = False


class StallWatch:
    """Finds running jobs whose worker is alive, and that have reported nothing for `seconds`, by this one's own clock.

    A silent worker is another matter: the reaper's.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._jobs: dict[tuple[str, int], _Silence] = {}
        self._looked: float | None = None

    def look(self, running: Iterable[Job]) -> list[Alarm]:
        now = self._clock()
        if self._looked is not None and now - self._looked > self._seconds / 2:
            # It was this process that stood still.
            self._jobs.clear()
        self._looked = now
        before, self._jobs = self._jobs, {}
        alarms = []
        for job in running:
            key, reported = (job.id, job.attempt), _reported(job)
            silence = before.get(key)
            if silence is None or silence.reported != reported:
                silence = _Silence(reported, now, job.heartbeat)
            self._jobs[key] = silence
            lasted = now - silence.since
            patience = self._seconds * _PATIENCE.get(job.kind, 1.0)
            is_alive = job.state == JobState.RUNNING and job.heartbeat != silence.heartbeat
            if is_alive and lasted >= patience and not silence.told:
                silence.told = True
                alarms.append(Alarm(job, "stalled", {"seconds": round(lasted, 1)}))
        return alarms


def _reported(job: Job) -> tuple[object, ...]:
    return (job.step, job.phase, job.total_steps, job.eta_seconds, tuple(sorted(job.latest.items())))


@dataclass
class _Course:
    baseline: float
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_LOW_REPORTS))
    step: int = -1
    told: bool = False


class EntropyWatch:
    """Finds trainings whose mean entropy over response tokens fell below `share` of what it was at the start.

    `first_values(job_id)` gives the first reports of a job's mean entropy, in nats. Only a probe of the model that is
    being trained (`online`, `every_k`) can tell: frozen rates are the starting model's.
    """

    def __init__(self, share: float, first_values: Callable[[str], Sequence[float]]) -> None:
        self._share = share
        self._first_values = first_values
        self._courses: dict[tuple[str, int], _Course] = {}

    def look(self, running: Iterable[Job]) -> list[Alarm]:
        before, self._courses = self._courses, {}
        alarms = []
        for job in running:
            entropy = job.latest.get(ENTROPY)
            if job.kind != JobKind.TRAIN or entropy is None:
                continue
            key = (job.id, job.attempt)
            course = before.get(key) or self._begin(job)
            if course is None:
                continue
            self._courses[key] = course
            if job.step > course.step:
                course.step = job.step
                course.recent.append(entropy)
            limit = self._share * course.baseline
            low = len(course.recent) == _LOW_REPORTS and max(course.recent) < limit
            if low and not course.told:
                course.told = True
                alarms.append(Alarm(job, "entropy_collapse", {"entropy": entropy, "at_the_start": course.baseline}))
        return alarms

    def _begin(self, job: Job) -> _Course | None:
        first = self._first_values(job.id)
        return _Course(fmean(first)) if len(first) >= BASELINE_REPORTS and job.step > 0 else None
