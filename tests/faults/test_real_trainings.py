"""A real training through one fault after the other ends in the same weights as one that nothing happened to."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from gift_core.recovery import complete_checkpoints, step_of
from gift_core.run import run_training
from gift_core.spec import ExperimentSpec
from tests.faults import hosts
from tests.faults.world import World, world_in
from workers.context import channel
from workers.records import JobState

# 24 steps, a checkpoint after every second one.
SPEC = ExperimentSpec.parse(
    {
        "methods": ["gift"],
        "run": {
            "data": {"source": {"kind": "task", "task": "sudoku", "examples": 48}, "held_out": 0},
            "training": {"epochs": 8, "batch_size": 16, "learning_rate": 1e-3, "checkpoint_every": 2},
            "evaluation": {"score": False},
        },
    }
)


class SmallDisk:
    """A small disk under the runs of a studio, with a file that can fill it."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._ballast = runs / ".ballast"

    def fill(self) -> None:
        """Leave a little: a checkpoint begins, and does not come to its end."""
        # The run writes meanwhile, and may be the one that fills it.
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            file.write(bytes(shutil.disk_usage(self._runs).free))
        os.truncate(self._ballast, max(0, self._ballast.stat().st_size - 300_000))

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    runs = tmp_path / "runs"
    runs.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", runs], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield SmallDisk(runs)
    subprocess.run(["umount", "--lazy", runs], check=True)


def weights(directory: Path) -> str:
    return hashlib.sha256((directory / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
def test_one_fault_after_the_other(tmp_path: Path, small_disk: SmallDisk) -> None:
    with world_in(tmp_path, seed=0) as world:
        worker = hosts.start("train", world.data)
        world.processes.append(worker)
        (run,) = [each.id for each in world.store.runs(world.store.create_experiment(SPEC, None)[0].id)]
        # The trainer is killed, and a person resumes it.
        reach(world, run, attempt=1, step=4)
        world.kill_trainer(run)
        world.until(lambda: world.job(run).state == JobState.FAILED)
        world.resume_what_failed(run)
        # Everything is killed at once, and the last checkpoint turns out to be cut short.
        reach(world, run, attempt=2, step=9)
        world.kill(worker)
        world.kill_trainer(run)
        world.until(lambda: not list(world.left_behind()))
        newest = next(complete_checkpoints(world.directory(run) / "trainer"))
        os.truncate(newest / "model.safetensors", 1000)
        assert step_of(next(complete_checkpoints(world.directory(run) / "trainer"))) < step_of(newest)
        # A reaper would take as long as the lease to find out.
        assert all(map(world.store.lose, world.store.pulses()))
        worker = hosts.start("train", world.data)
        world.processes.append(worker)
        # The disk fills up in the middle of a checkpoint.
        reach(world, run, attempt=3, step=11)

        def has_failed() -> bool:
            # Once more each time: an old checkpoint that goes makes room for a new one.
            small_disk.fill()
            return world.job(run).state == JobState.FAILED

        with standing_still(world, run):
            small_disk.fill()
        world.until(has_failed, seconds=60)
        failure = world.job(run).failure
        assert failure
        assert failure["code"] == "disk_full"
        small_disk.make_room()
        world.resume_what_failed(run)
        # It is stopped, and keeps what it has learned; the worker is told to end, and another one begins.
        reach(world, run, attempt=4, step=14)
        with standing_still(world, run) as trainer:
            world.store.request_stop(run, "user")
            world.until(lambda: is_told(trainer), "the request to stop")
        world.until(lambda: world.job(run).state == JobState.STOPPED, seconds=60)
        assert (world.directory(run) / "checkpoint" / "model.safetensors").exists()
        world.kill(worker, signal.SIGTERM)
        worker.join(10)
        world.resume_what_failed(run)
        world.processes.append(hosts.start("train", world.data))
        world.until(lambda: world.job(run).state == JobState.FINISHED, seconds=120)

        run_training(SPEC.expand()[0][1], tmp_path / "undisturbed", Path)
        assert weights(world.directory(run)) == weights(tmp_path / "undisturbed")
        steps = [point.step for point in world.store.metrics([run], after=0)]
        assert steps == list(range(1, 25))
        assert world.job(run).attempt == 5


def reach(world: World, run: str, *, attempt: int, step: int) -> None:
    """Until this attempt has taken so many steps, by its own account."""
    reports = world.directory(run) / channel(attempt)

    def reached() -> bool:
        lines = reports.read_text().splitlines() if reports.exists() else []
        return any(line.endswith("}") and json.loads(line)["step"] >= step for line in lines)

    world.until(reached, f"step {step} of attempt {attempt}", seconds=120)
    world.until(lambda: world.job(run).process_id, "the process's number")


@contextmanager
def standing_still(world: World, run: str) -> Iterator[psutil.Process]:
    """The run takes no step meanwhile."""
    process = psutil.Process(world.job(run).process_id)
    process.suspend()
    yield process
    process.resume()


def is_told(process: psutil.Process) -> bool:
    """Whether there is a request to stop that a process will see when it goes on."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    pending = next(line for line in lines if line.startswith("ShdPnd:"))
    return bool(int(pending.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
