"""Clones and longer runs from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gift_core.reporting import CHECKPOINT
from tests.commands.conftest import Gift
from ui.commands.client import CommandClient
from ui.connection import StudioError
from workers.records import Job
from workers.studio import Studio


@pytest.fixture
def trained(studio: Studio, create: Any, trainer: Any) -> Job:
    _, (run, _) = create(run={"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}})
    trainer.start(run)
    trainer.finish(run)
    (studio.files(run) / CHECKPOINT).mkdir(parents=True, exist_ok=True)
    return run


def made(said: str, studio: Studio) -> Job:
    return studio.store.job(json.loads(said)["id"])


def test_a_run_is_cloned_with_changes(gift: Gift, studio: Studio, trained: Job) -> None:
    changes = ("--set", "training.epochs=3", "--set", "seed=5")
    code, said, error = gift("clone", trained.id, *changes, "--name", "Longer", "--json")
    assert code == 0, error
    clone = made(said, studio)
    assert studio.store.experiment(clone.experiment_id or "").name == "Longer"
    assert (clone.spec["training"]["epochs"], clone.spec["seed"]) == (3, 5)
    code, _, error = gift("clone", trained.id, "--set", "training.epoch=3")
    assert (code, "training.epoch" in error) == (1, True)


def test_a_run_goes_on_for_more_epochs(gift: Gift, studio: Studio, trained: Job) -> None:
    code, said, error = gift("continue", trained.id, "--epochs", "2")
    assert code == 0, error
    assert "+ 2 epoch" in said
    assert studio.store.runs(trained.experiment_id or "")[-1].spec["model"]["start_from"] == trained.id
    assert gift("continue", trained.id)[0] == 2
    waiting = studio.store.runs(trained.experiment_id or "")[1]
    code, _, error = gift("continue", waiting.id, "--epochs", "2")
    assert (code, "no weights" in error) == (1, True)


@pytest.mark.parametrize("arguments", [("clone",), ("continue", "--epochs", "1")])
def test_an_answer_that_was_lost_makes_no_second_job(
    gift: Gift, studio: Studio, trained: Job, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    request: Callable[..., Any] = CommandClient._request
    lost = [True]

    def lose_first(self: CommandClient, kind: Any, method: str, path: str, **options: Any) -> Any:
        answer = request(self, kind, method, path, **options)
        if method == "POST" and lost:
            lost.pop()
            raise StudioError([], 0)
        return answer

    monkeypatch.setattr(CommandClient, "_request", lose_first)
    monkeypatch.setattr("time.sleep", lambda _: None)
    command, *options = arguments
    code, said, error = gift(command, trained.id, *options, "--json")
    assert code == 0, error
    assert not lost
    assert len(studio.store.jobs()) == 3
    assert made(said, studio).state == "queued"
