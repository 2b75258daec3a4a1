"""What is somebody's own: nobody else goes on with it, or spends what is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from tests.api.secured import key_of, person, secured_studio
from tests.serving import serve
from workers.account_records import Role
from workers.studio import Studio


class Site:
    """A studio with accounts behind a server, asked in somebody's name."""

    def __init__(self, studio: Studio, url: str) -> None:
        self.studio = studio
        self._url = url
        self._keys: dict[str, dict[str, str]] = {}

    def ask(self, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        if name not in self._keys:
            role = Role.ADMIN if name == "admin" else Role.OWNER
            self._keys[name] = key_of(self.studio.accounts, person(self.studio.accounts, name, role))
        return httpx.request(method, f"{self._url}/api/v1{path}", json=body, headers=self._keys[name], timeout=60)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    studio = secured_studio(tmp_path)
    with serve(create_api(studio)) as url:
        yield Site(studio, url)
    studio.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/evaluations", {"checkpoints": ["tiny"]}),
        ("/dataset-inspections", {"checkpoints": ["tiny"]}),
        ("/responses", {"checkpoint": "tiny", "prompts": ["1+1?"]}),
    ],
)
def test_asking_again_goes_on_with_ones_own_only(site: Site, path: str, body: dict[str, Any]) -> None:
    def asked(name: str) -> tuple[int, str, str]:
        answer = site.ask(name, "POST", path, body)
        (job,) = site.studio.store.jobs()
        return answer.status_code, job.state, job.created_by

    alices = "hub:id-of-alice"
    assert asked("alice") == (202, "queued", alices)
    assert asked("bob") == (202, "queued", alices), "what is there, or coming, is for everybody"
    (job,) = site.studio.store.jobs()
    assert site.ask("alice", "POST", f"/jobs/{job.id}/stop").json()["state"] == "stopped"
    assert asked("bob") == (403, "stopped", alices)
    assert site.ask("bob", "POST", f"/jobs/{job.id}/clone", {}).status_code == 403
    assert site.ask("bob", "POST", f"/jobs/{job.id}/resume").status_code == 403
    assert asked("alice") == (202, "queued", alices)
    site.ask("alice", "POST", f"/jobs/{job.id}/stop")
    assert asked("admin") == (202, "queued", alices)


def test_nobody_but_an_admin_jumps_the_line(site: Site) -> None:
    def launch(name: str, query: str = "") -> httpx.Response:
        source = {"kind": "task", "task": "word_problems", "examples": 16}
        spec = {"run": {"data": {"source": source, "held_out": 4}}, "methods": ["sft"]}
        return site.ask(name, "POST", f"/experiments{query}", spec)

    def line() -> list[str]:
        return [job.created_by.removeprefix("hub:id-of-") for job in site.studio.store.waiting()]

    alices, bobs, bobs_second = (launch(name).json()["runs"][0]["id"] for name in ("alice", "bob", "bob"))
    refused = launch("bob", "?priority=1")
    assert (refused.status_code, refused.json()["problems"][0]["field"]) == (403, "priority")
    for change, field in (({"priority": 1}, "priority"), ({"before": alices}, "before")):
        refused = site.ask("bob", "PATCH", f"/jobs/{bobs}", change)
        assert (refused.status_code, refused.json()["problems"][0]["field"]) == (403, field)
    assert line() == ["alice", "bob", "bob"]
    assert site.ask("bob", "PATCH", f"/jobs/{bobs_second}", {"before": bobs}).status_code == 200
    assert [job.id for job in site.studio.store.waiting()] == [alices, bobs_second, bobs]
    assert site.ask("bob", "PATCH", f"/jobs/{bobs}", {"first": True}).status_code == 200
    assert [job.id for job in site.studio.store.waiting()] == [alices, bobs, bobs_second]
    assert site.ask("alice", "PATCH", f"/jobs/{alices}", {"priority": -1}).status_code == 200
    assert line() == ["bob", "bob", "alice"]
    assert site.ask("admin", "PATCH", f"/jobs/{alices}", {"priority": 1}).status_code == 200
    clone = site.ask("bob", "POST", f"/jobs/{alices}/clone", {})
    assert (clone.status_code, clone.json()["priority"]) == (202, 0)
    assert launch("admin", "?priority=2").status_code == 201
    assert line() == ["admin", "alice", "bob", "bob", "bob"]
