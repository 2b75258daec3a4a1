"""The fault table: whatever breaks, and whenever, no job is lost and none is run twice.

Every trial is a studio of its own with real worker processes and real processes of jobs, which count their steps in a
ledger; its seed decides the moment. What the jobs compute is light, so that there can be hundreds of trials; the same
with real trainings is in `test_real_trainings.py`, and moments that chance does not find are in `test_seams.py`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults import hosts
from tests.faults.light_job import STEPS
from tests.faults.world import World, world_in
from tests.services import PostgresService, RedisService
from tests.stopwatch import stopwatch
from workers.records import JobState


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with world_in(tmp_path, seed=request.node.callspec.params["seed"]) as opened:
        yield opened


def trials(count: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("seed", range(count))


@trials(25)
def test_a_killed_trainer(world: World, seed: int) -> None:
    runs = world.launch()
    world.start_worker()
    victim = world.random.choice(runs)
    world.until_step(victim, world.random.randint(1, STEPS))
    world.kill_trainer(victim)
    world.until(lambda: world.job(victim).state in ("failed", "finished"))
    failure = world.job(victim).failure
    assert failure is None or failure["code"] == "killed"
    world.resume_what_failed(victim)
    world.until_finished(*runs)
    world.check(*runs)


@trials(20)
def test_a_killed_worker(world: World, seed: int) -> None:
    runs = world.launch()
    worker = world.start_worker()
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    world.kill(worker)
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@trials(15)
def test_everything_killed_at_once(world: World, seed: int) -> None:
    runs = world.launch(2)
    workers = [world.start_worker(), world.start_worker()]
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    for process in [*workers]:
        world.kill(process)
    for run in runs:
        world.kill_trainer(run)
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@trials(15)
def test_a_trainer_that_is_told_to_end(world: World, seed: int) -> None:
    runs = world.launch()
    world.start_worker()
    victim = world.random.choice(runs)
    world.until_step(victim, world.random.randint(1, STEPS))
    world.kill_trainer(victim, signal.SIGTERM)
    world.until_finished(*runs)
    world.check(*runs)


@trials(15)
def test_a_worker_that_is_told_to_end(world: World, seed: int) -> None:
    runs = world.launch()
    worker = world.start_worker()
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    with stopwatch() as seconds:
        world.kill(worker, signal.SIGTERM)
        worker.join(60)
        assert worker.exitcode == 0
        assert seconds() < 5
    assert {world.job(run).state for run in runs} <= {"queued", "finished"}
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@trials(15)
def test_a_message_that_is_lost(world: World, seed: int) -> None:
    runs = world.launch()
    with sqlite3.connect(world.data / "queue.sqlite3") as queue:
        rows = [row for (row,) in queue.execute("SELECT id FROM task")]
        for row in world.random.sample(rows, world.random.randint(1, len(rows))):
            queue.execute("DELETE FROM task WHERE id = ?", [row])
    world.start_worker(lease_seconds=hosts.LONG_LEASE_SECONDS)
    world.until_finished(*runs)
    world.check(*runs)
    assert {world.job(run).attempt for run in runs} == {1}


@trials(15)
def test_a_message_that_comes_twice(world: World, seed: int) -> None:
    runs = world.launch()
    for _ in range(3):
        world.queue.wake(world.random.choice(runs))
    for _ in range(world.random.randint(1, 2)):
        world.start_worker(lease_seconds=hosts.LONG_LEASE_SECONDS)
    world.until_step(runs[0], world.random.randint(1, STEPS))
    world.queue.wake(runs[0])
    world.until_finished(*runs)
    world.check(*runs)
    assert {world.job(run).attempt for run in runs} == {1}


@trials(15)
def test_a_clock_that_jumps(world: World, seed: int) -> None:
    """One host is an hour ahead or behind, and the other one's clock jumps while it works."""
    runs = world.launch()
    jumping = world.start_worker(lease_seconds=hosts.LONG_LEASE_SECONDS)
    ahead = world.random.choice([-3600.0, 3600.0])
    world.start_worker(clock_runs_ahead=ahead, lease_seconds=hosts.LONG_LEASE_SECONDS)
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS - 1))
    world.kill(jumping, signal.SIGUSR2)
    world.until_finished(*runs)
    world.check(*runs)
    assert {world.job(run).attempt for run in runs} == {1}, "nobody was believed to be dead"


@trials(10)
def test_a_disk_that_fills_up_in_the_middle_of_a_checkpoint(world: World, seed: int) -> None:
    runs = world.launch()
    victim = world.random.choice(runs)
    world.directory(victim).mkdir(parents=True)
    full = world.directory(victim) / "disk-is-full"
    full.touch()
    world.start_worker(lease_seconds=hosts.LONG_LEASE_SECONDS)
    world.until(lambda: world.job(victim).state == JobState.FAILED)
    failure = world.job(victim).failure
    assert failure
    assert failure["code"] == "disk_full"
    full.unlink()
    world.resume_what_failed(victim)
    world.until_finished(*runs)
    world.check(*runs)
    # The checkpoint that was cut short was passed over for the one before it.
    assert [entry["step"] for entry in world.ledger(victim)] == [1, 2, 3, 4, 3, 4, 5, 6]


@trials(15)
def test_a_truncated_checkpoint(world: World, seed: int) -> None:
    runs = world.launch()
    worker = world.start_worker()
    victim = world.random.choice(runs)
    world.until_step(victim, world.random.randint(3, STEPS))
    world.kill(worker)
    world.until(lambda: not list(world.left_behind()))
    for path in sorted(world.directory(victim).glob("checkpoint-*.json"))[-1:]:
        text = path.read_text()
        path.write_text(text[: world.random.randint(0, len(text) - 1)])
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@trials(15)
def test_a_worker_that_stalls_without_dying(world: World, seed: int) -> None:
    """It is stopped for longer than its lease, alone or with its jobs, and then goes on as if nothing had happened."""
    runs = world.launch()
    stalled = world.start_worker()
    victim = world.random.choice(runs)
    world.until_step(victim, world.random.randint(1, STEPS - 1))
    trainer = world.job(victim).process_id
    with_its_job = world.random.random() < 0.5 and trainer is not None
    world.stall(stalled)
    if with_its_job and trainer:
        with suppress(ProcessLookupError):
            os.kill(trainer, signal.SIGSTOP)
    other = world.start_worker()
    world.until_finished(*runs)
    world.kill(stalled, signal.SIGCONT)
    world.until(lambda: not list(world.left_behind()))
    more = world.launch()
    world.kill(other, signal.SIGTERM)
    world.until_finished(*more)
    world.check(*runs, *more)


@trials(15)
def test_a_web_server_that_is_killed_or_told_to_end(world: World, seed: int) -> None:
    """With a stream open; told to end, it does so within five seconds."""
    runs = world.launch()
    number = world.random.choice([signal.SIGKILL, signal.SIGTERM])
    web, stream = world.start_web(runs[0])
    with stream:
        world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
        with stopwatch() as seconds:
            world.kill(web, number)
            web.join(60)
            assert web.exitcode is not None
            assert seconds() < 5
    world.start_worker()
    world.until_finished(*runs)
    world.check(*runs)


@trials(5)
def test_redis_killed_and_restarted(tmp_path: Path, seed: int, redis_server: RedisService) -> None:
    with world_in(tmp_path, seed, {"queue": redis_server.url}) as world:
        world.queue.clear()
        runs = world.launch(2)
        world.start_worker()
        world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
        redis_server.kill()
        # What waits is found in the store, message or not.
        world.until(lambda: world.job(runs[0]).state == JobState.FINISHED)
        redis_server.start()
        world.until_finished(*runs)
        world.check(*runs)


@trials(5)
def test_postgres_killed_and_restarted(tmp_path: Path, seed: int, postgres_server: PostgresService) -> None:
    with postgres_server.new_database() as url, world_in(tmp_path, seed, {"store": url}) as world:
        runs = world.launch(2)
        world.start_worker()
        world.until_step(runs[0], world.random.randint(1, STEPS))
        postgres_server.kill()
        time.sleep(hosts.LEASE_SECONDS * world.random.random() * 2)  # How long it is away is what is tried.
        postgres_server.start()
        world.until_finished(*runs)
        world.check(*runs)
