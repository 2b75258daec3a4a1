"""A worker whose surroundings fail it: whatever that is and however long it lasts, no job fails because of it.

The worker lives on, and so do its jobs or not; when the fault is over everything goes on by itself.
"""

from __future__ import annotations

import resource
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.faults.light_job import STEPS
from tests.faults.world import World, world_in

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with world_in(tmp_path, seed=request.node.callspec.params["seed"]) as opened:
        yield opened


trials = pytest.mark.parametrize("seed", range(8))


@trials
def test_descriptors_run_out_while_jobs_run(world: World, seed: int) -> None:
    runs = world.launch(2)
    worker = world.start_worker()
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    with without_descriptors(worker):
        wait(world)
    go_on(world, runs)


@trials
def test_descriptors_run_out_while_many_jobs_wait(world: World, seed: int) -> None:
    """Each would be taken, and would fail, as soon as the one before it has."""
    world.queue.clear()
    worker = world.start_worker()
    world.until(lambda: world.store.workers(), "the worker")
    with without_descriptors(worker):
        runs = world.launch(4)
        wait(world)
        assert not any(job.failure for job in world.store.jobs())
    go_on(world, runs)


@trials
def test_the_data_folder_may_not_be_written_to(world: World, seed: int) -> None:
    runs = world.launch(2)
    world.start_worker(obeys_permissions=True)
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    with read_only(world.data if seed % 2 else world.data / "runs"):
        wait(world)
    go_on(world, runs)


@trials
def test_the_folder_of_runs_is_out_of_reach(world: World, seed: int) -> None:
    runs = world.launch(2)
    world.start_worker()
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    with replaced_by_a_file(world.data / "runs"):
        wait(world)
    go_on(world, runs)


@trials
def test_the_store_is_locked(world: World, seed: int) -> None:
    runs = world.launch(2)
    world.start_worker()
    world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
    with closing(sqlite3.connect(world.data / "studio.sqlite3", timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait(world)
        other.execute("ROLLBACK")
    # A busy machine may also let the worker stand still, which counts as a loss.
    go_on(world, runs, most_losses=1)


def wait(world: World) -> None:
    """For as long as the fault lasts: shorter than a lease, or as long as several."""
    time.sleep(world.random.uniform(0.2, 2.0))  # What happens meanwhile is what is tried.


def go_on(world: World, runs: list[str], most_losses: int = 0) -> None:
    """All of them end as if nothing had happened, without a person, and nobody is blamed."""
    world.until_finished(*runs)
    world.check(*runs)
    for run in runs:
        assert world.job(run).losses <= most_losses, world.store.transitions(job_id=run)
        states = [item.after for item in world.store.transitions(job_id=run)]
        assert "failed" not in states, states


@contextmanager
def without_descriptors(worker: BaseProcess) -> Iterator[None]:
    """The worker's process can open nothing; what it has open it keeps."""
    number = worker.pid or 0
    before = resource.prlimit(number, resource.RLIMIT_NOFILE)
    # Those below the limit may be free by chance.
    resource.prlimit(number, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(number, resource.RLIMIT_NOFILE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write to the folder or what is in it, as after `chmod -R a-w`."""
    modes: dict[Path, int] = {}
    while changed := [path for path in [folder, *folder.rglob("*")] if path not in modes]:
        # The worker has made some meanwhile.
        for path in changed:
            try:
                modes[path] = path.stat().st_mode
                path.chmod(modes[path] & ~_WRITABLE)
            except FileNotFoundError:
                modes.setdefault(path, 0)
    try:
        yield
    finally:
        for path, mode in modes.items():
            if mode and path.exists():
                path.chmod(mode)


@contextmanager
def replaced_by_a_file(folder: Path) -> Iterator[None]:
    """A file stands where the folder was, which comes back with all that was in it."""
    away = folder.with_name("away")
    folder.rename(away)
    try:
        folder.touch(exist_ok=False)
    except FileExistsError:
        # The worker was faster, and has made the folder anew: this is another fault.
        folder.rename(folder.with_name("made meanwhile"))
        folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)
