"""Whose token an upload has: what came with one of its own is never uploaded with the studio's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.api.conftest import Trainer
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.account_records import Role
from workers.observations import JobFilter
from workers.records import JobKind
from workers.studio import Studio

TOKEN = "hf_a-token-of-their-own"
Ask = Callable[..., httpx.Response]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = secured_studio(tmp_path, hub_token="hf_the-token-of-the-studio")
    yield studio
    studio.close()


@pytest.fixture
def order(studio: Studio) -> dict[str, Any]:
    """An upload of a finished run."""
    experiment, _ = studio.store.create_experiment(ExperimentSpec(methods=("sft",)), None)
    (run,) = studio.store.runs(experiment.id)
    trainer = Trainer(studio.store, studio.data)
    trainer.start(run)
    trainer.finish(run)
    return {"run": run.id, "repository": "me/mine"}


@pytest.fixture
def ask(studio: Studio) -> Iterator[Ask]:
    """Posts as an owner or as an admin."""
    credentials = {role: key_of(studio.accounts, person(studio.accounts, role, role)) for role in Role}
    with serve(create_api(studio)) as address, httpx.Client(base_url=f"{address}/api/v1", timeout=60) as http:

        def ask(role: Role, path: str, body: Any = None, key: str = "") -> httpx.Response:
            return http.post(path, json=body, headers=credentials[role] | ({"Idempotency-Key": key} if key else {}))

        yield ask


def own_token(studio: Studio, answer: httpx.Response) -> bool:
    assert answer.status_code == 202, answer.text
    return bool(studio.store.job(answer.json()["id"]).spec["own_token"])


def wrong_field(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["problems"]
    assert problem["remedy"]
    return str(problem["field"])


def test_the_studios_token_is_for_its_admins(studio: Studio, ask: Ask, order: dict[str, Any]) -> None:
    assert wrong_field(ask(Role.OWNER, "/pushes", order)) == "token"
    pushed = ask(Role.ADMIN, "/pushes", order)
    assert not own_token(studio, pushed)
    clone = f"/jobs/{pushed.json()['id']}/clone"
    assert wrong_field(ask(Role.OWNER, clone, {})) == "token"
    assert not own_token(studio, ask(Role.ADMIN, clone, {}))
    assert own_token(studio, ask(Role.OWNER, clone, {"token": TOKEN}))


def test_a_clone_of_an_upload_with_a_token_needs_one_again(studio: Studio, ask: Ask, order: dict[str, Any]) -> None:
    pushed = ask(Role.OWNER, "/pushes", order | {"token": TOKEN})
    assert own_token(studio, pushed)
    clone = f"/jobs/{pushed.json()['id']}/clone"
    for role in (Role.OWNER, Role.ADMIN):
        assert wrong_field(ask(role, clone, {})) == "token"
    assert wrong_field(ask(Role.ADMIN, clone, {"token": TOKEN, "changes": {"own_token": False}})) == "own_token"
    again = ask(Role.OWNER, clone, {"token": TOKEN, "changes": {"repository": "me/other"}}, "k")
    assert own_token(studio, again)
    job = studio.store.job(again.json()["id"])
    assert job.spec == studio.store.job(pushed.json()["id"]).spec | {"repository": "me/other"}
    assert studio.secrets.hand_out(job.id, own=True) == TOKEN
    assert all(TOKEN.encode() not in path.read_bytes() for path in studio.data.rglob("*") if path.is_file())


def test_the_same_key_with_and_without_a_token_is_two_requests(ask: Ask, order: dict[str, Any]) -> None:
    first = ask(Role.ADMIN, "/pushes", order | {"token": TOKEN}, "k")
    assert ask(Role.ADMIN, "/pushes", order | {"token": TOKEN}, "k").json()["id"] == first.json()["id"]
    assert ask(Role.ADMIN, "/pushes", order, "k").status_code == 409


def test_a_retried_upload_still_is_one_with_a_token_of_its_own(studio: Studio, ask: Ask, order: dict[str, Any]) -> None:
    job_id = ask(Role.OWNER, "/pushes", order | {"token": TOKEN}).json()["id"]
    studio.stop(job_id, by="test")
    for again in ("retry", "resume"):
        # Its token is gone, and the studio's is not used in its place.
        answer = ask(Role.OWNER, f"/jobs/{job_id}/{again}")
        assert (answer.status_code, answer.json()["problems"][0]["field"]) == (409, "token")
        assert "clone this upload, and give a token" in answer.json()["problems"][0]["remedy"]
    job = studio.store.job(job_id)
    assert (job.state, job.spec["own_token"]) == ("stopped", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"token": ""}, "token"),
        ({"token": "  "}, "token"),
        ({"token": "hf_with a blank"}, "token"),
        ({"token": "hf_é"}, "token"),
        ({"repository": "no-slash"}, "repository"),
        ({"repository": "me/name@main"}, "repository"),
        ({"repository": "me/two--dashes"}, "repository"),
        ({"layout": "published"}, "layout"),
        ({"run": "run_nowhere"}, ""),
    ],
)
def test_an_upload_that_cannot_work_is_refused_at_once(
    studio: Studio, ask: Ask, order: dict[str, Any], changes: dict[str, str], field: str
) -> None:
    answer = ask(Role.ADMIN, "/pushes", order | {"token": TOKEN} | changes)
    assert answer.status_code in (404, 422)
    assert answer.json()["problems"][0]["field"] == field
    assert answer.json()["problems"][0]["remedy"]
    assert studio.store.jobs(JobFilter(kind=JobKind.PUSH)) == []
