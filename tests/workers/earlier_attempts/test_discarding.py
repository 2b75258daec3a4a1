"""What is discarded: until when it can be brought back, on which host, and what makes room first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.conftest import claim
from tests.workers.earlier_attempts.world import KEPT, World, enforce, sweep_of
from workers.lifecycle.actions import JobAction, actions_of
from workers.lifecycle.attempt_files import UNDO_SECONDS
from workers.records import Job, JobState, StopMode
from workers.settings import Settings
from workers.sharing import Sharing
from workers.store import ConflictError
from workers.studio import Studio


def test_a_run_that_is_lost_before_it_is_discarded_can_be_resumed(world: World, stopped: str) -> None:
    world.studio.resume(stopped, "user")
    assert claim(world.store, stopped)
    world.studio.stop(stopped, "user", StopMode.DISCARD)
    assert all(world.store.lose(pulse) for pulse in world.store.pulses())
    assert JobAction.RESUME in actions_of(world.job(stopped))
    world.studio.resume(stopped, "user")
    job = world.job(stopped)
    assert (job.saved_step, job.first_attempt, job.aside_attempt) == (5, 1, None)


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
