"""What a job keeps when it leaves the queue, starts over or is discarded, and what brings it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import MakeAttempts, Until, claim
from tests.workers.test_supervisor import Background
from workers.experiments import LaunchOptions
from workers.lifecycle import attempt_files
from workers.lifecycle.actions import JobAction, actions_of
from workers.lifecycle.attempt_files import UNDO_SECONDS, AsideSweep
from workers.lifecycle.snapshots import computed_seconds
from workers.records import Job, JobKind, JobState, StopMode
from workers.retention import Limits, Retention
from workers.settings import Settings
from workers.sharing import Sharing
from workers.store import ConflictError, JobStore, NotFoundError
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


@pytest.fixture
def world(studio: Studio, make_attempts: MakeAttempts, until: Until) -> World:
    return World(studio, make_attempts, until)


@pytest.fixture
def stopped(world: World) -> str:
    """A run that was stopped and saved at step 5 of its first attempt."""
    experiment, _ = world.store.create_experiment(ExperimentSpec(), None, LaunchOptions(stop_on_failure=True))
    run = world.store.runs(experiment.id)[0].id
    with world.running(run, 5):
        world.studio.stop(run, "user")
    assert world.job(run).state == JobState.STOPPED
    assert world.files(run) == KEPT
    return run


LEAVE: dict[str, Callable[[World, str], object]] = {
    "stop": lambda world, run: world.studio.stop(run, "user"),
    "discard": lambda world, run: world.studio.stop(run, "user", StopMode.DISCARD),
}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
@pytest.mark.parametrize("fresh", [False, True], ids=["resume", "start over"])
def test_leaving_the_queue_is_going_back_to_the_state_before(
    world: World, stopped: str, leave: Callable[[World, str], object], fresh: bool
) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user", fresh=fresh)
    assert world.job(stopped).state == JobState.QUEUED
    leave(world, stopped)
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT
    assert JobAction.RESUME in actions_of(world.job(stopped))
    assert [run.id for run in world.store.trained()] == [stopped]
    assert claim(world.store, stopped) is None


def test_what_failed_and_was_resumed_has_failed_when_it_leaves_the_queue(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    world.fail(stopped)
    failed = world.shown(stopped)
    # It failed before its first step: all that it had is there.
    assert (failed["saved_step"], failed["step"], failed["failure"]) == (5, 5, FAILURE)
    assert world.files(stopped) == KEPT
    assert [run.id for run in world.store.trained()] == [stopped]
    world.studio.resume(stopped, "user")
    assert world.job(stopped).failure is None
    world.studio.stop(stopped, "user", StopMode.DISCARD)
    assert world.shown(stopped) == failed


def test_a_run_that_was_never_begun_is_cancelled(world: World) -> None:
    experiment, _ = world.store.create_experiment(ExperimentSpec(), None)
    run = world.store.runs(experiment.id)[0].id
    world.studio.stop(run, "user", StopMode.DISCARD)
    job = world.job(run)
    assert (job.state, actions_of(job)) == (JobState.STOPPED, [JobAction.RETRY, JobAction.DELETE])


def test_one_that_goes_on_by_itself_is_stopped_when_it_leaves_the_queue(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    job = claim(world.store, stopped)
    assert job
    world.store.hand_back(stopped, job.owner or "", "the studio was stopped")
    assert world.job(stopped).state == JobState.QUEUED
    world.studio.stop(stopped, "user", StopMode.DISCARD)
    job = world.job(stopped)
    assert (job.state, job.saved_step, world.files(stopped)) == (JobState.STOPPED, 5, KEPT)


def test_the_ones_behind_a_failed_run_keep_what_they_had(world: World, stopped: str) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user")
    experiment = world.job(stopped).experiment_id or ""
    world.fail(world.store.runs(experiment)[1].id)
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT


def test_a_start_over_keeps_the_old_attempt_until_its_own_first_checkpoint(
    world: World, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.studio.resume(stopped, "user", fresh=True)
    job = world.job(stopped)
    assert (job.step, job.saved_step, job.latest, job.result, world.curve(stopped)) == (0, None, {}, None, [])
    gate = world.studio.data / "save-now"
    wait = f"while not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\nsave()"
    with world.running(stopped, 2, wait):
        aside_files = {f"aside/{name}": text for name, text in KEPT.items()}
        assert world.files(stopped) == aside_files | {"metrics.jsonl": "2 at 1\n2 at 2\n"}
        assert world.curve(stopped) == [201, 202]
        gate.touch()
        world.until(lambda: world.job(stopped).saved_step == 2)
        assert JobAction.UNDO in actions_of(world.job(stopped)), "it was begun less than a minute ago"
        monkeypatch.setattr(attempt_files, "UNDO_SECONDS", 0.0)
        world.until(lambda: world.job(stopped).aside_attempt is None)
        world.until(lambda: not (world.directory(stopped) / "aside").exists())
        assert world.files(stopped) == {"metrics.jsonl": "2 at 1\n2 at 2\n", "trainer/checkpoint-2/weights": "2 at 2"}
        world.studio.stop(stopped, "user")
    with pytest.raises(ConflictError, match="nothing to bring back"):
        world.studio.undo(stopped, "user")


ENDS: dict[str, Callable[[World, str], object]] = {
    "undo": lambda world, run: world.studio.undo(run, "user"),
    "discard": lambda world, run: world.studio.stop(run, "user", StopMode.DISCARD),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_start_over_that_comes_to_nothing_brings_the_old_attempt_back(
    world: World, stopped: str, end: Callable[[World, str], object]
) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 2):
        end(world, stopped)
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT
    assert JobAction.UNDO not in actions_of(world.job(stopped))
    # And it goes on from there.
    world.studio.resume(stopped, "user")
    with world.running(stopped, 1):
        assert world.curve(stopped) == [101, 102, 103, 104, 105, 306]
        world.studio.stop(stopped, "user")
    assert world.job(stopped).saved_step == 6


def test_a_start_over_that_is_stopped_before_its_first_step_brings_the_old_attempt_back(
    world: World, stopped: str
) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 0):
        world.until(lambda: world.job(stopped).state == JobState.RUNNING and not world.job(stopped).fresh)
        world.studio.stop(stopped, "user")
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT


def test_a_start_over_that_fails_keeps_the_old_attempt_for_as_long_as_it_takes(world: World, stopped: str) -> None:
    before = world.shown(stopped)
    for _ in range(2):
        world.studio.resume(stopped, "user", fresh=True)
        world.fail(stopped)
    sweep_of(world).look()
    sweep_of(world, UNDO_SECONDS).look()
    assert world.job(stopped).saved_step is None
    assert JobAction.RESUME not in actions_of(world.job(stopped))
    world.studio.undo(stopped, "user")
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT


def test_what_was_to_be_brought_back_by_a_worker_that_was_lost_can_still_be(world: World, stopped: str) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user", fresh=True)
    job = claim(world.store, stopped)
    assert job
    world.store.saved(stopped, job.owner or "", 2)
    world.studio.undo(stopped, "user")
    assert JobAction.UNDO not in actions_of(world.job(stopped)), "it is being undone"
    assert all(world.store.lose(pulse) for pulse in world.store.pulses())
    now = [0.0]
    sweep = sweep_of(world, clock=lambda: now[0])
    for now[0] in (0.0, UNDO_SECONDS):
        sweep.look()
        assert JobAction.UNDO in actions_of(world.job(stopped))
    world.studio.undo(stopped, "user")
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT


def test_a_run_that_is_lost_before_it_is_discarded_can_be_resumed(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    assert claim(world.store, stopped)
    world.studio.stop(stopped, "user", StopMode.DISCARD)
    assert all(world.store.lose(pulse) for pulse in world.store.pulses())
    assert JobAction.RESUME in actions_of(world.job(stopped))
    world.studio.resume(stopped, "user")
    job = world.job(stopped)
    assert (job.saved_step, job.first_attempt, job.aside_attempt) == (5, 1, None)


def test_points_are_told_again_when_a_start_over_leaves_the_queue(world: World, stopped: str) -> None:
    points = world.store.metrics([stopped], after=0)
    newest = points[-1].cursor
    world.studio.resume(stopped, "user", fresh=True)
    # Whoever follows the run has been told that it begins at step 0, and shows none.
    assert world.curve(stopped) == []
    world.studio.stop(stopped, "user")
    told = world.store.metrics([stopped], after=newest)
    assert [point.values for point in told] == [point.values for point in points]


def test_a_start_over_whose_worker_is_lost_is_taken_off_the_queue(world: World, stopped: str) -> None:
    before = world.shown(stopped)
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 2):
        world.until(lambda: any(world.store.lose(pulse) for pulse in world.store.pulses()))
    assert world.job(stopped).state == JobState.QUEUED
    world.studio.stop(stopped, "user")
    assert world.shown(stopped) == before
    assert world.files(stopped) == KEPT


def test_a_discard_can_be_undone_until_it_is_final(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    with world.running(stopped, 3):
        world.studio.stop(stopped, "user", StopMode.DISCARD)
    job = world.job(stopped)
    assert (job.state, job.step, job.saved_step, job.result) == (JobState.STOPPED, 0, None, None)
    assert world.curve(stopped) == []
    assert actions_of(job) == [JobAction.RETRY, JobAction.UNDO, JobAction.DELETE]
    world.studio.undo(stopped, "user")
    job = world.job(stopped)
    assert (job.state, job.step, job.saved_step) == (JobState.STOPPED, 8, 8)
    assert world.files(stopped)["trainer/checkpoint-8/weights"] == "2 at 8"
    assert world.curve(stopped) == [101, 102, 103, 104, 105, 206, 207, 208]
    assert JobAction.RESUME in actions_of(job)


def test_a_discard_is_final_after_a_minute(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    with world.running(stopped, 3):
        world.studio.stop(stopped, "user", StopMode.DISCARD)
    now = [0.0]
    sweep = sweep_of(world, clock=lambda: now[0])
    for seconds, is_there in ((0.0, True), (UNDO_SECONDS - 1, True), (UNDO_SECONDS, False)):
        now[0] = seconds
        sweep.look()
        assert (JobAction.UNDO in actions_of(world.job(stopped))) is is_there
        assert bool(world.files(stopped)) is is_there
    left = sorted(path.name for path in world.directory(stopped).iterdir())
    assert [name for name in left if not name.startswith("reports-")] == ["job.json", "job.log", "spec.yaml"]
    with world.store.database.read() as session:
        assert session.get(Job, stopped)
    with pytest.raises(ConflictError):
        world.studio.undo(stopped, "user")
    world.studio.resume(stopped, "user")
    with world.running(stopped, 1):
        assert world.curve(stopped) == [301]
        world.studio.stop(stopped, "user")


def test_what_was_discarded_and_runs_again_can_still_be_brought_back(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    with world.running(stopped, 3):
        world.studio.stop(stopped, "user", StopMode.DISCARD)
    world.studio.resume(stopped, "user", fresh=True)
    world.studio.stop(stopped, "user")
    assert JobAction.UNDO in actions_of(world.job(stopped)), "it is discarded again, and nothing else"
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 1):
        world.studio.undo(stopped, "user")
    assert world.job(stopped).saved_step == 8
    assert world.files(stopped)["trainer/checkpoint-8/weights"] == "2 at 8"


def test_a_quota_takes_first_what_is_kept_for_an_undo_and_never_what_has_no_successor(
    world: World, stopped: str
) -> None:
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 2):
        enforce(world)
        assert {f"aside/{name}" for name in KEPT} <= world.files(stopped).keys()
        world.studio.stop(stopped, "user")
    # It has a checkpoint of its own by now.
    enforce(world, bytes_over=1)
    assert world.job(stopped).aside_attempt is None
    assert world.files(stopped)["trainer/checkpoint-2/weights"] == "2 at 2"
    assert not (world.directory(stopped) / "aside").exists()


def test_a_quota_that_takes_all_files_leaves_nothing_to_resume(world: World, stopped: str) -> None:
    enforce(world)
    job = world.job(stopped)
    assert job.files_removed
    assert (job.saved_step, world.files(stopped)) == (None, {})
    assert actions_of(job) == [JobAction.RETRY, JobAction.DELETE]
    world.studio.resume(stopped, "user")
    world.studio.stop(stopped, "user")
    assert world.job(stopped).files_removed


def test_a_second_start_over_sets_the_newer_attempt_aside(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 2):
        world.studio.stop(stopped, "user")
    newer = world.files(stopped)
    world.studio.resume(stopped, "user", fresh=True)
    with world.running(stopped, 1):
        assert world.files(stopped)["aside/trainer/checkpoint-2/weights"] == "2 at 2"
        world.studio.undo(stopped, "user")
    assert world.files(stopped) == {name: text for name, text in newer.items() if not name.startswith("aside/")}
    assert world.curve(stopped) == [201, 202]


def test_opposite_wishes_of_two_windows_lose_nothing(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user", fresh=True)
    world.studio.undo(stopped, "one window")
    with pytest.raises(ConflictError):
        world.studio.undo(stopped, "the other")
    world.studio.resume(stopped, "one window")
    world.studio.resume(stopped, "the other", fresh=True)
    assert not world.job(stopped).fresh, "it waits already: the first one counts"
    world.studio.stop(stopped, "one window", StopMode.DISCARD)
    assert world.files(stopped) == KEPT
    world.studio.resume(stopped, "one window")
    with pytest.raises(ConflictError, match="queued"):
        world.studio.remove(stopped)
    world.studio.stop(stopped, "the other")
    world.studio.remove(stopped)
    with pytest.raises(NotFoundError):
        world.studio.undo(stopped, "one window")
    assert not world.directory(stopped).exists()


def test_only_time_spent_computing_counts(world: World, stopped: str) -> None:
    job = world.job(stopped)
    computed = computed_seconds(job)
    assert 0 < computed <= (job.ended or 0) - (job.started or 0) + 1e-6
    world.studio.resume(stopped, "user")
    assert computed_seconds(world.job(stopped), now=job.created + 1e6) == computed
    world.studio.stop(stopped, "user")
    assert computed_seconds(world.job(stopped)) == computed
    world.studio.resume(stopped, "user")
    taken = claim(world.store, stopped)
    assert taken
    assert taken.started
    assert computed_seconds(taken, now=taken.started + 10) == pytest.approx(computed + 10)


@pytest.mark.parametrize("kind", [JobKind.INSPECT, JobKind.EXPORT, JobKind.PUSH])
def test_what_cannot_be_gone_on_with_is_run_again(kind: JobKind) -> None:
    failed = Job(id="j", kind=kind, label="", spec={}, state=JobState.FAILED, attempt=1, step=3)
    assert actions_of(failed) == [JobAction.RETRY, JobAction.DELETE]
    running = failed.model_copy(update={"state": JobState.RUNNING})
    assert actions_of(running) == [JobAction.STOP]


def sweep_of(world: World, passed: float | None = None, clock: Callable[[], float] | None = None) -> AsideSweep:
    """A sweep on the host of the workers, for which so many seconds have passed."""
    return AsideSweep(world.store, world.studio.sharing, clock or (lambda: passed or 0.0), host="host")


def enforce(world: World, bytes_over: int | None = None) -> None:
    """Free so many bytes, or all that may be freed."""
    studio = world.studio
    quota = 0 if bytes_over is None else studio.sizes.measure() - bytes_over
    Retention(studio.store.database, studio.sharing, studio.trace_files, studio.sizes, Limits(quota=quota)).look()


@pytest.mark.parametrize("discards", [False, True], ids=["start over", "discard"])
def test_what_one_host_has_set_aside_another_brings_back(
    world: World, stopped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, discards: bool
) -> None:
    url = f"file://{tmp_path / 'bucket'}"
    here, there = tmp_path, tmp_path / "there"
    elsewhere = Studio(Settings(data_dir=there))
    elsewhere.store, elsewhere.sharing = world.store, Sharing(there, url)
    monkeypatch.setattr("tests.workers.conftest.Sharing", lambda data, _: Sharing(data, url))

    world.studio.resume(stopped, "user", fresh=not discards)
    if discards:
        with world.running(stopped, 1):
            world.studio.stop(stopped, "user", StopMode.DISCARD)
        step, left = 6, KEPT | {"trainer/checkpoint-6/weights": "2 at 6"}
        left |= {"metrics.jsonl": KEPT["metrics.jsonl"] + "2 at 6\n"}
    else:
        world.fail(stopped)
        step, left = 5, KEPT
    assert world.files(stopped).keys() >= {f"aside/{name}" for name in left}
    elsewhere.undo(stopped, "user")
    assert world.job(stopped).saved_step == step
    assert world.files(stopped).keys() >= {f"aside/{name}" for name in left}, "this host has not heard of it"
    away = World(elsewhere, world.make_attempts, world.until)
    assert away.files(stopped) == left
    # The next attempt, on the host of before, goes on from there.
    world.studio.resume(stopped, "user")
    with world.running(stopped, 1):
        world.studio.stop(stopped, "user")
    assert world.job(stopped).saved_step == step + 1
    assert not (here / "runs" / stopped / "aside").exists()
    elsewhere.queue.close()
