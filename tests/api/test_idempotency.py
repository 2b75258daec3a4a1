"""A request that is sent twice creates one thing; a key that is used for two is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import httpx
import pytest
from sqlmodel import delete

from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.database import Database
from workers.keys import Claim, KeyConflictError, Keys
from workers.records import IdempotencyKey
from workers.store import JobStore

SMALL = {"run": {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}}

SAMPLING = {"length": 8, "block_length": 8, "steps": 4}
CREATES = {
    "/evaluations": ({"checkpoints": ["tiny"]}, {"checkpoints": ["tiny"], "seeds": [2]}),
    "/dataset-inspections": ({"checkpoints": ["tiny"]}, {"checkpoints": ["tiny"], "seed": 2}),
    "/responses": ({"checkpoint": "tiny", "prompts": ["a"]}, {"checkpoint": "tiny", "prompts": ["b"]}),
    "/traces": (
        {"checkpoints": ["tiny"], "prompt": "a", "sampling": SAMPLING},
        {"checkpoints": ["tiny"], "prompt": "b", "sampling": SAMPLING},
    ),
}


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}/api/v1", timeout=60) as http:
        yield http


def post(http: httpx.Client, path: str, body: object, key: str = "k") -> httpx.Response:
    return http.post(path, json=body, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("path", CREATES)
def test_a_key_is_for_one_request(http, path):
    body, other = CREATES[path]
    first, again = post(http, path, body), post(http, path, dict(reversed(body.items())))
    assert first.status_code == again.status_code == 202, first.text
    ids = [
        answer.json()[0]["id"] if isinstance(answer.json(), list) else answer.json()["id"] for answer in (first, again)
    ]
    assert ids[0] == ids[1]
    refused = post(http, path, other)
    assert refused.status_code == 409
    (problem,) = refused.json()["problems"]
    assert problem["field"] == "Idempotency-Key"
    assert problem["remedy"]
    assert post(http, path, other, "another").status_code == 202


def test_a_key_is_for_one_route(http):
    assert post(http, "/evaluations", CREATES["/evaluations"][0]).status_code == 202
    assert post(http, "/responses", CREATES["/responses"][0]).status_code == 409


@pytest.mark.parametrize("wrong", [{"checkpoints": []}, {"checkpoints": ["nowhere"]}])
def test_a_key_whose_request_came_to_nothing_may_be_used_again(http, wrong):
    assert post(http, "/evaluations", wrong).status_code == 422
    assert post(http, "/evaluations", CREATES["/evaluations"][0]).status_code == 202


def test_a_launch_that_is_queued_otherwise_is_another_request(http):
    def launch(**queued: object) -> httpx.Response:
        return http.post("/experiments", json=SMALL, params=queued, headers={"Idempotency-Key": "k"})

    assert [launch(priority=1).status_code for _ in range(2)] == [201, 200]
    for other in ({}, {"priority": 2}, {"priority": 1, "devices": 2}, {"priority": 1, "stop_on_failure": True}):
        assert launch(**other).status_code == 409
    assert len(http.get("/experiments").json()["items"]) == 1


def test_everything_that_creates_takes_a_key_or_says_why_not(http):
    paths = httpx.get(str(http.base_url).replace("/api/v1/", "/openapi.json")).json()["paths"]
    creating = [
        post for path in paths.values() if (post := path.get("post")) and {"201", "202"} & set(post["responses"])
    ]
    assert len(creating) >= 10
    for route in creating:
        headers = {each["name"] for each in route.get("parameters", ()) if each["in"] == "header"}
        said = " ".join(route["description"].split())
        assert "Idempotency-Key" in headers or "takes no Idempotency-Key" in said, route["operationId"]


def test_two_people_may_think_of_the_same_key(tmp_path):
    studio = secured_studio(tmp_path)
    first, second = (key_of(studio.accounts, person(studio.accounts, name)) for name in ("first", "second"))
    with serve(create_api(studio)) as address, httpx.Client(base_url=f"{address}/api/v1", timeout=60) as http:
        made = [
            http.post("/experiments", json=SMALL, headers={**headers, "Idempotency-Key": "k"})
            for headers in (first, second, first)
        ]
    studio.close()
    assert [answer.status_code for answer in made] == [201, 201, 200]
    ids = [answer.json()["id"] for answer in made]
    assert ids[0] == ids[2] != ids[1]


def claims(keys: Keys, fingerprint: str) -> str:
    try:
        with keys.held(Claim("k", fingerprint)):
            return "held"
    except KeyConflictError:
        return "refused"


def test_eight_hands_with_two_requests_and_one_key_make_one_thing(database_url):
    with closing(Database(database_url)) as database:
        keys = Keys(database)
        with ThreadPoolExecutor(8) as pool:
            found = sorted(pool.map(lambda number: claims(keys, str(number % 2)), range(8)))
        assert found == ["held"] * 4 + ["refused"] * 4


def test_a_key_is_free_again_only_when_nothing_was_made_with_it(database_url):
    def fail(meanwhile: Callable[[], object]) -> None:
        with suppress(ZeroDivisionError), keys.held(Claim("k", "asked")):
            meanwhile()
            raise ZeroDivisionError

    with closing(Database(database_url)) as database:
        keys, store = Keys(database), JobStore(database)
        fail(lambda: None)
        assert claims(keys, "another") == "held"
        assert claims(keys, "asked") == "refused"
        with database.write() as session:
            session.exec(delete(IdempotencyKey))
        # The same request, sent a second time at once, gets through where the first one fails.
        fail(lambda: store.create_experiment(ExperimentSpec(), Claim("k", "asked")))
        assert claims(keys, "another") == "refused"
        assert store.create_experiment(ExperimentSpec(), Claim("k", "asked"))[1] is False


def test_keys_are_forgotten_after_a_week(database_url):
    with closing(Database(database_url)) as database:
        keys = Keys(database)
        with database.write() as session:
            session.add(IdempotencyKey(key="k", fingerprint="asked", created=time.time() - 8 * 86_400))
        assert claims(keys, "another") == "held"
