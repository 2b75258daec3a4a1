"""What a job keeps when it starts over, and what brings it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workers.conftest import claim
from tests.workers.earlier_attempts.world import KEPT, World, sweep_of
from workers.lifecycle import attempt_files
from workers.lifecycle.actions import JobAction, actions_of
from workers.lifecycle.attempt_files import UNDO_SECONDS
from workers.records import Job, JobKind, JobState, StopMode
from workers.store import ConflictError

ENDS: dict[str, Callable[[World, str], object]] = {
    "undo": lambda world, run: world.studio.undo(run, "user"),
    "discard": lambda world, run: world.studio.stop(run, "user", StopMode.DISCARD),
}


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


@pytest.mark.parametrize("kind", [JobKind.INSPECT, JobKind.EXPORT, JobKind.PUSH])
def test_what_cannot_be_gone_on_with_is_run_again(kind: JobKind) -> None:
    failed = Job(id="j", kind=kind, label="", spec={}, state=JobState.FAILED, attempt=1, step=3)
    assert actions_of(failed) == [JobAction.RETRY, JobAction.DELETE]
    running = failed.model_copy(update={"state": JobState.RUNNING})
    assert actions_of(running) == [JobAction.STOP]
