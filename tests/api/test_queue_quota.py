"""How many jobs of one account may wait: of every kind, and only what is new counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.api.conftest import Trainer
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.records import Job
from workers.studio import Studio

PAIR = {"run": {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}}
ALONE = PAIR | {"methods": ["sft"]}
Post = Callable[..., httpx.Response]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Two jobs of an account may wait."""
    studio = secured_studio(tmp_path, queued_runs=2)
    yield studio
    studio.close()


@pytest.fixture
def owner(studio: Studio) -> str:
    return person(studio.accounts, "owner").id


@pytest.fixture
def post(studio: Studio, owner: str) -> Iterator[Post]:
    credentials = key_of(studio.accounts, studio.accounts.account(owner))
    with serve(create_api(studio)) as address, httpx.Client(base_url=f"{address}/api/v1", timeout=60) as http:

        def post(path: str, body: Any = None, key: str = "") -> httpx.Response:
            return http.post(path, json=body, headers=credentials | ({"Idempotency-Key": key} if key else {}))

        yield post


@pytest.fixture
def trained(studio: Studio, owner: str) -> Job:
    """A finished run of the account's."""
    spec = ExperimentSpec.parse(ALONE)
    experiment, _ = studio.store.create_experiment(spec, None, by=owner)
    (run,) = studio.store.runs(experiment.id)
    trainer = Trainer(studio.store, studio.data)
    trainer.start(run)
    trainer.finish(run)
    return run


def is_full(answer: httpx.Response) -> bool:
    if answer.status_code != 429:
        assert answer.is_success, answer.text
        return False
    (problem,) = answer.json()["problems"]
    assert (answer.json()["code"], problem["field"]) == ("quota", "jobs")
    assert problem["remedy"]
    return True


def test_a_launch_that_is_repeated_gets_its_experiment_though_the_quota_is_full(studio: Studio, post: Post) -> None:
    first = post("/experiments", PAIR, "a")
    assert is_full(post("/experiments", ALONE, "b"))
    again = post("/experiments", PAIR, "a")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    # What was refused has used up neither place nor key.
    for run in first.json()["runs"]:
        studio.stop(run["id"], by="test")
    assert post("/experiments", PAIR, "b").status_code == 201


def test_eight_equal_launches_at_once_take_the_places_of_one(studio: Studio, post: Post) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post("/experiments", PAIR, "a"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len(studio.store.jobs()) == 2


def test_jobs_of_every_kind_take_a_place(post: Post, trained: Job) -> None:
    asked: list[tuple[str, Any]] = [
        ("/evaluations", {"checkpoints": ["tiny"]}),
        ("/responses", {"checkpoint": "tiny", "prompts": ["a"]}),
        ("/dataset-inspections", {"checkpoints": ["tiny"], "run": PAIR["run"]}),
        ("/exports", {"run": trained.id}),
        ("/pushes", {"run": trained.id, "repository": "me/mine", "token": "hf_something"}),
        ("/experiments", ALONE),
    ]
    for number, (path, body) in enumerate(asked):
        assert is_full(post(path, body)) == (number >= 2), path
    # What waits already is there, and is nothing new.
    for path, body in asked[:2]:
        assert not is_full(post(path, body)), path
    assert is_full(post("/evaluations", {"checkpoints": ["tiny"], "seeds": [1, 2]}))


def test_a_push_that_is_repeated_gets_its_job_though_the_quota_is_full(post: Post, trained: Job) -> None:
    order = {"run": trained.id, "repository": "me/mine", "token": "hf_something"}
    first = post("/pushes", order, "a")
    assert not is_full(post("/exports", {"run": trained.id}))
    assert is_full(post("/pushes", order, "b"))
    assert post("/pushes", order, "a").json()["id"] == first.json()["id"]


def test_copies_take_a_place_each_time_that_they_are_new(post: Post, trained: Job) -> None:
    clone, more = f"/jobs/{trained.id}/clone", f"/jobs/{trained.id}/continue"
    first = post(clone, {}, "a")
    assert not is_full(post(more, {"epochs": 2}, "b"))
    assert is_full(post(clone, {}, "c"))
    assert is_full(post(more, {"epochs": 2}, "d"))
    assert post(clone, {}, "a").json()["id"] == first.json()["id"]
    assert not is_full(post(more, {"epochs": 2}, "b"))


def test_going_on_takes_a_place_unless_it_waits_already(studio: Studio, post: Post) -> None:
    first, second = post("/experiments", PAIR).json()["runs"]
    assert not is_full(post(f"/jobs/{first['id']}/resume"))
    studio.stop(first["id"], by="test")
    assert not is_full(post("/responses", {"checkpoint": "tiny", "prompts": ["a"]}))
    assert is_full(post(f"/jobs/{first['id']}/resume"))
    assert is_full(post(f"/jobs/{first['id']}/retry"))
    studio.stop(second["id"], by="test")
    assert not is_full(post(f"/jobs/{first['id']}/retry"))


def test_a_key_whose_job_was_deleted_takes_a_place_again(studio: Studio, post: Post, trained: Job) -> None:
    def go_on(key: str) -> httpx.Response:
        return post(f"/jobs/{trained.id}/continue", {"epochs": 1}, key=key)

    for key in ("one", "two", "three"):
        made = go_on(key).json()["id"]
        studio.stop(made, "owner")
        studio.remove(made)
    assert [go_on(key).status_code for key in ("one", "two", "three")] == [202, 202, 429]
