"""A worker that is killed, or stands still, exactly between two of the things that it does.

Random moments rarely fall between a commit and the line after it. Here every such place is tried, and a worker that
stood still wakes up while another one has its jobs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hosts import LONG_LEASE_SECONDS, Seam
from tests.faults.world import World, world_in


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path, seed=0) as opened:
        yield opened


def seams(number: signal.Signals, *places: tuple[str, int]) -> pytest.MarkDecorator:
    """Before and after each of these: an operation, and how often it has been carried out by then."""
    found = [Seam(operation, after, call, number) for operation, call in places for after in (False, True)]
    return pytest.mark.parametrize("seam", found, ids=str)


@seams(
    signal.SIGKILL,
    *(("store.claim", call) for call in (1, 2)),
    *(("store.held", call) for call in (1, 2)),
    *(("supervisor._spawn", call) for call in (1, 2)),
    *(("store.started", call) for call in (1, 2)),
    *(("store.beat", call) for call in (1, 2, 3, 4, 6, 8)),
    *(("store.end", call) for call in (1, 2)),
    ("store.register", 1),
    ("store.pulses", 2),
)
def test_a_worker_killed_between_two_steps(world: World, seam: Seam) -> None:
    runs = world.launch()
    worker = world.start_worker(seam=seam)
    world.until(lambda: not worker.is_alive(), "the seam")
    assert worker.exitcode == -signal.SIGKILL
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@seams(signal.SIGKILL, ("store.hand_back", 1), ("store.hand_back", 2), ("store.leave", 1))
def test_a_worker_killed_while_it_is_ending(world: World, seam: Seam) -> None:
    runs = world.launch()
    worker = world.start_worker(seam=seam)
    for run in runs:
        world.until_step(run, 1)
    world.kill(worker, signal.SIGTERM)
    world.until(lambda: not worker.is_alive(), "the seam")
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@pytest.mark.parametrize("step", [1, 3])
@seams(
    signal.SIGSTOP,
    ("store.claim", 1),
    ("store.held", 1),
    ("supervisor._spawn", 1),
    ("store.started", 1),
    ("store.beat", 1),
    ("store.beat", 4),
    ("store.end", 1),
)
def test_a_worker_that_wakes_up_while_another_has_its_jobs(world: World, seam: Seam, step: int) -> None:
    runs = world.launch()
    sleeper = world.start_worker(seam=seam, reaper_seconds=LONG_LEASE_SECONDS)
    world.until_stopped(sleeper)
    taken = [run for run in runs if world.job(run).state == "running"]
    # What a reaper does. No worker's own takes part: the next attempt is lost to nothing but a disturbance.
    assert all(map(world.store.lose, world.store.pulses()))
    world.start_worker(lease_seconds=LONG_LEASE_SECONDS)
    world.until(lambda: all(world.has_begun(run, 2, step) for run in taken), "the next attempt")
    world.kill(sleeper, signal.SIGCONT)
    world.until_finished(*runs)
    world.check(*runs)
    assert max(world.job(run).attempt for run in runs) <= 2, "nobody was disturbed"
