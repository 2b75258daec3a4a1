"""A studio with its workers, and a run that was stopped."""

from __future__ import annotations

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import MakeAttempts, Until
from tests.workers.earlier_attempts.world import KEPT, World
from workers.experiments import LaunchOptions
from workers.records import JobState
from workers.studio import Studio


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
