"""The line in which queued jobs wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from workers.records import Job, JobState

# Seconds: ranks are times, and halving the distance between two would run out of numbers.
_DISTANCE = 0.001
_LEAST_DISTANCE = 0.000_001
# So many of those that wait are looked at for one that fits.
_LOOKED_AT = 200


def in_line() -> Any:
    """The queued jobs in the order in which they are taken."""
    order = (col(Job.priority).desc(), col(Job.rank), col(Job.position), col(Job.id))
    return select(Job).where(Job.state == JobState.QUEUED).order_by(*order)


@dataclass(frozen=True)
class Reach:
    """Which jobs a worker could ever carry out: so many devices at most, by these names and kinds."""

    devices: int
    names: frozenset[str]


def next_in_line(session: Session, reach: Reach | None = None) -> list[Job]:
    """The jobs that a worker may choose from. Those for a side slot come first: no training is in their way.

    What is out of its reach is left out: however much of it waits, it hides nothing.
    """
    aside = in_line().where(Job.devices == 0)
    others = in_line().where(col(Job.devices) > 0)
    if reach is not None:
        others = others.where(col(Job.devices) <= reach.devices, col(Job.device).in_(reach.names))
    return [*session.exec(aside.limit(_LOOKED_AT)), *session.exec(others.limit(_LOOKED_AT))]


def first_in_line(session: Session, job: Job, *, among_own: bool = False) -> Job:
    """Who is first of all that wait, or of those of the same person's that wait for the same thing as `job`."""
    line = in_line()
    if among_own:
        line = line.where(Job.created_by == job.created_by, (col(Job.devices) == 0) == (job.devices == 0))
    found: Job = session.exec(line).first() or job
    return found


def place_before(session: Session, job: Job, other: Job) -> None:
    """Give a waiting job the place before another one, and its priority. Nobody loses a place to who comes later."""
    job.priority = other.priority
    session.flush()
    waiting = session.exec(in_line().where(Job.priority == other.priority, Job.id != job.id)).all()
    ids = [waits.id for waits in waiting]
    ids.insert(ids.index(other.id), job.id)
    _line_up(session, ids, max(waits.rank for waits in waiting))
    session.refresh(job)


def join_by_turns(session: Session, job: Job) -> None:
    """Line up a new job for a side slot: behind as many jobs of every other account as its own account has waiting.

    So the jobs of accounts take turns, and an account's own stay in their order. Jobs of another priority do not move.
    """
    others = in_line().where(Job.devices == 0, Job.priority == job.priority, Job.id != job.id)
    line: list[Job] = list(session.exec(others))
    taken: Counter[str] = Counter()
    own, place = sum(waits.created_by == job.created_by for waits in line), 0
    for number, waits in enumerate(line, 1):
        if waits.created_by == job.created_by or taken[waits.created_by] <= own:
            place = number
        taken[waits.created_by] += 1
    if place < len(line):
        ranks = sorted([*(waits.rank for waits in line), job.rank])
        line.insert(place, job)
        # The same ranks as before, and each above the one before it.
        ranks = list(accumulate(ranks, lambda before, rank: max(rank, before + _LEAST_DISTANCE)))
        session.execute(update(Job), [{"id": waits.id, "rank": rank} for waits, rank in zip(line, ranks, strict=True)])
        session.refresh(job)


def change_places(session: Session, job: Job, other: Job) -> None:
    """Give a waiting job the place before another one of the same person's, who has as many places as before, and the
    same ones: nobody else's job comes sooner or later for it. Both wait for devices, or both beside those that do.
    """
    line = session.exec(in_line().where((col(Job.devices) == 0) == (job.devices == 0))).all()
    places = [(place, waits.priority) for place, waits in enumerate(line) if waits.created_by == job.created_by]
    own = [line[place] for place, _ in places if line[place].id != job.id]
    own.insert(own.index(other), job)
    order = list(line)
    for (place, priority), each in zip(places, own, strict=True):
        order[place] = each
        each.priority = priority
    session.flush()
    for priority in {priority for _, priority in places}:
        level = [each for each in order if each.priority == priority]
        _line_up(session, [each.id for each in level], max(each.rank for each in level))
    session.refresh(job)


def _line_up(session: Session, ids: Sequence[str], last: float) -> None:
    """Give jobs of one priority the ranks of this order, up to `last`."""
    ranks = [{"id": identity, "rank": last - _DISTANCE * behind} for behind, identity in enumerate(reversed(ids))]
    session.execute(update(Job), ranks)
