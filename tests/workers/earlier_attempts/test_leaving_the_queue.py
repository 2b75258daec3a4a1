"""What a job keeps when it leaves the queue."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import claim
from tests.workers.earlier_attempts.world import FAILURE, KEPT, World
from workers.lifecycle.actions import JobAction, actions_of
from workers.lifecycle.snapshots import computed_seconds
from workers.records import JobState, StopMode
from workers.store import ConflictError, NotFoundError

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
