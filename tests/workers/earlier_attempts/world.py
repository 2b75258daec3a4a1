"""A studio whose workers run stand-ins for a training, and what is seen of its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.workers.conftest import MakeAttempts, Until
from tests.workers.test_supervisor import Background
from workers.lifecycle.attempt_files import AsideSweep
from workers.records import Job, JobState
from workers.retention import Limits, Retention
from workers.store import JobStore
from workers.studio import Studio

# A training that begins at its last checkpoint, and writes one when it is stopped; `save()` writes one in between.
TRAINING = """
import shutil
trainer, metrics = directory / "trainer", directory / "metrics.jsonl"
resumes = json.loads((directory / "job.json").read_text())["resume"]
saved = [int(path.parent.name.split("-")[1]) for path in trainer.glob("checkpoint-*/seal.json")]
step = max(saved, default=0) if resumes else 0
if not step:
    shutil.rmtree(trainer, ignore_errors=True)
    metrics.unlink(missing_ok=True)
report(step)
wishes = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, _: wishes.append(number))

def save():
    checkpoint = trainer / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "weights").write_text(f"{attempt} at {step}")
    (checkpoint / "seal.json").touch()

def make_steps(count):
    global step
    for _ in range(count):
        step += 1
        report(step, loss=100 * attempt + step)
        with metrics.open("a") as file:
            file.write(f"{attempt} at {step}\\n")

def stop_when_told():
    while not wishes:
        time.sleep(0.01)
    if step:
        save()
    if step and signal.SIGUSR1 in wishes:
        (directory / "checkpoint").mkdir(exist_ok=True)
        (directory / "checkpoint" / "weights").write_text(f"{attempt} at {step}")
        (directory / "result.json").write_text(json.dumps({"seconds": 1.0, "final_loss": 0.5, "steps": step}))
    (directory / "stopped").touch()
    sys.exit(0)

"""


FAILURE = {"code": "out_of_memory", "message": "No memory.", "field": "", "remedy": "Lower it."}


FAIL = f"(directory / 'failure.json').write_text({json.dumps(json.dumps(FAILURE))}); sys.exit(1)"


KEPT = {"checkpoint/weights": "1 at 5", "trainer/checkpoint-5/weights": "1 at 5", "metrics.jsonl": "".join(
    f"1 at {step}\n" for step in range(1, 6)
)}  # fmt: skip


@dataclass
class World:
    """A studio, and workers of its store that run stand-ins for a training."""

    studio: Studio
    make_attempts: MakeAttempts
    until: Until

    @property
    def store(self) -> JobStore:
        return self.studio.store

    def job(self, job_id: str) -> Job:
        return self.store.job(job_id)

    def directory(self, job_id: str) -> Path:
        return self.studio.data / "runs" / job_id

    def files(self, job_id: str) -> dict[str, str]:
        """What a run has: its checkpoints and its metrics, and what is set aside of an earlier attempt."""
        found = {str(path.relative_to(self.directory(job_id))): path for path in self.directory(job_id).rglob("*")}
        return {
            name: path.read_text()
            for name, path in found.items()
            if path.is_file() and name.removeprefix("aside/").startswith(("checkpoint/", "trainer/", "metrics"))
            and path.name != "seal.json"
        }  # fmt: skip

    def shown(self, job_id: str) -> dict[str, object]:
        """What anybody sees of a job: its state, its progress and its curve."""
        names = ("state", "step", "total_steps", "saved_step", "result", "failure", "latest", "ended")
        return {name: getattr(self.job(job_id), name) for name in names} | {"curve": self.curve(job_id)}

    def curve(self, job_id: str) -> list[float]:
        return [point.values["loss"] for point in self.store.metrics([job_id], after=0) if "loss" in point.values]

    @contextmanager
    def running(self, job_id: str, count: int, more: str = "") -> Iterator[None]:
        """An attempt at a job, from when it has made `count` steps to its end."""
        work = Background(self.make_attempts(f"{TRAINING}\nmake_steps({count})\n{more}\nstop_when_told()"), job_id)
        before = self.job(job_id).attempt
        self.until(lambda: self.job(job_id).attempt > before or self.job(job_id).state != JobState.QUEUED)
        first = 0 if self.job(job_id).saved_step is None else self.job(job_id).saved_step
        self.until(lambda: self.job(job_id).step >= (first or 0) + count)
        yield
        work.join()

    def fail(self, job_id: str) -> None:
        """An attempt that fails before its first step."""
        self.make_attempts(f"{TRAINING}\n{FAIL}").execute(job_id)
        assert self.job(job_id).state == JobState.FAILED


def sweep_of(world: World, passed: float | None = None, clock: Callable[[], float] | None = None) -> AsideSweep:
    """A sweep on the host of the workers, for which so many seconds have passed."""
    return AsideSweep(world.store, world.studio.sharing, clock or (lambda: passed or 0.0), host="host")


def enforce(world: World, bytes_over: int | None = None) -> None:
    """Free so many bytes, or all that may be freed."""
    studio = world.studio
    quota = 0 if bytes_over is None else studio.sizes.measure() - bytes_over
    Retention(studio.store.database, studio.sharing, studio.trace_files, studio.sizes, Limits(quota=quota)).look()
