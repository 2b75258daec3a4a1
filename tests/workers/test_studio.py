"""The facade: what is refused creates nothing, what is launched is queued, and paths come from records only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from gift_core.errors import DataError, ModelError
from gift_core.spec import ExperimentSpec
from tests.workers.conftest import claim
from workers.keys import Claim, KeyConflictError
from workers.records import JobState
from workers.settings import Settings
from workers.store import NotFoundError
from workers.studio import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path / "data"))
    yield opened
    opened.close()


def spec_of(**run: object) -> ExperimentSpec:
    return ExperimentSpec.parse({"run": run})


ASKED = Claim("key", "asked")
SMALL = spec_of(data={"source": {"kind": "task", "examples": 8}, "held_out": 2})


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (spec_of(model={"name": "nope"}), ModelError),
        (spec_of(data={"source": {"kind": "file", "dataset": "../../etc/passwd"}}), DataError),
    ],
)
def test_what_cannot_be_trained_creates_nothing(studio: Studio, spec: ExperimentSpec, error: type[Exception]) -> None:
    with pytest.raises(error):
        studio.launch(spec, ASKED)
    assert studio.store.experiments() == []
    assert studio.queue.pending() == []


def test_a_launch_queues_its_runs_once(studio: Studio) -> None:
    experiment, created = studio.launch(SMALL, ASKED)
    again, created_again = studio.launch(SMALL, ASKED)
    assert (created, created_again) == (True, False)
    assert again.id == experiment.id
    assert studio.queue.pending() == [run.id for run in studio.store.runs(experiment.id)]
    with pytest.raises(KeyConflictError):
        studio.launch(spec_of(seed=7), Claim("key", "asked for another"))


def test_logs_are_found_by_the_record_of_the_run(studio: Studio) -> None:
    experiment, _ = studio.store.create_experiment(SMALL, None)
    run = studio.store.runs(experiment.id)[0]
    assert studio.log(run.id) == ""
    studio.files(run).mkdir(parents=True)
    (studio.files(run) / "job.log").write_text("one\ntwo\n")
    assert studio.log(run.id, tail_bytes=4) == "two\n"
    for unknown in ("../" + run.id, "nope", ""):
        with pytest.raises(NotFoundError):
            studio.log(unknown)


def test_finished_runs_are_checkpoints(studio: Studio) -> None:
    experiment, _ = studio.store.create_experiment(SMALL, None)
    sft, gift = studio.store.runs(experiment.id)
    job = claim(studio.store, gift.id)
    assert job
    studio.store.end(gift.id, job.owner or "", JobState.FINISHED, "finished", {"final_loss": 0.5})
    base, tuned = studio.checkpoints()
    assert (base.id, base.experiment, base.directory) == ("tiny", None, None)
    assert (tuned.id, tuned.label, tuned.experiment) == (gift.id, "GIFT", experiment.id)
    assert tuned.directory == studio.files(gift) / "checkpoint"
    assert studio.stop(sft.id, "user").state == JobState.STOPPED


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_PORT", "7861")
    monkeypatch.setenv("GIFT_DATA_DIR", "/elsewhere")
    settings = Settings()
    assert (settings.port, settings.data_dir, settings.host) == (7861, Path("/elsewhere"), "127.0.0.1")
    assert settings.training_threads >= 1
    with pytest.raises(ValidationError):
        settings.port = 1
