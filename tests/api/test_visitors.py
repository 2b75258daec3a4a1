"""What visitors of a public studio may do: look, and compute a little at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_api
from api.dependencies import Services
from tests.api.secured import person, secured_studio, session_of
from tests.serving import serve
from workers.account_records import Role
from workers.accounts import AccountStore
from workers.fairness.requester import STUDIO, Requester, Standing

NOBODY: dict[str, str] = {}


class Demo:
    """A public studio behind a server, whose models stand still while `turns` is held."""

    def __init__(self, services: Services, url: str) -> None:
        self.services = services
        self.turns = services.traces._shelf.turns
        self.url = f"{url}/api/v1"

    @property
    def accounts(self) -> AccountStore:
        return self.services.studio.accounts

    def visitor(self, name: str) -> dict[str, str]:
        return session_of(self.accounts, person(self.accounts, name, Role.VISITOR))

    def begin(self, headers: dict[str, str], *seeds: int) -> list[httpx.Response]:
        asked = {"checkpoints": ["tiny"], "prompt": "1+1?", "sampling": {"steps": 4}}
        return [self.post(headers, "/traces", asked | {"seed": seed}) for seed in seeds]

    def post(self, headers: dict[str, str], path: str, body: Any = None) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=60)

    def get(self, headers: dict[str, str], path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=headers)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    studio = secured_studio(tmp_path, public=True)
    app = create_api(studio)
    with serve(app) as url:
        yield Demo(app.state.services, url)
    studio.close()


def test_whoever_began_a_trace_may_cancel_it(demo: Demo) -> None:
    first, second = demo.visitor("first"), demo.visitor("second")
    with demo.turns.held(STUDIO):
        for mine, others in ((first, (second, NOBODY)), (NOBODY, (first,))):
            (begun,) = demo.begin(mine, len(mine))
            trace = begun.json()[0]["id"]
            assert [demo.post(each, f"/traces/{trace}/cancel").status_code for each in others] == [403] * len(others)
            assert demo.get(mine, "/traces").json()["items"][0]["state"] == "queued"
            assert demo.post(mine, f"/traces/{trace}/cancel").json()["state"] == "cancelled"


def test_nobody_keeps_the_others_from_denoising(demo: Demo) -> None:
    first, second = demo.visitor("first"), demo.visitor("second")
    with demo.turns.held(STUDIO):
        *begun, refused = demo.begin(first, *range(9))
        assert [each.status_code for each in begun] == [202] * 8
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert demo.begin(first, 0)[0].status_code == 202, "asked for again it is no other"
        assert demo.begin(second, 20)[0].status_code == 202
        assert demo.post(first, f"/traces/{begun[-1].json()[0]['id']}/cancel").is_success
        assert [demo.begin(first, seed)[0].status_code for seed in (9, 10)] == [202, 429]


def test_nobody_keeps_the_others_from_looking_at_scores(demo: Demo) -> None:
    first, limits = demo.visitor("first"), demo.services.limits
    paths = ["/evaluations/ev_1", "/evaluations/ev_1/answers", "/evaluation-comparisons?first=a&second=b"]
    paths += ["/comparisons?first=a&second=b", "/traces/tr_1", "/dataset-inspections/di_1"]
    with ExitStack() as busy:
        for _ in range(8):
            busy.enter_context(limits.look(Requester("hub:id-of-first", Standing.VISITOR)))
        assert [demo.get(first, path).status_code for path in paths] == [429] * len(paths)
        assert [demo.get(demo.visitor("second"), path).status_code for path in paths] == [404] * len(paths)
        assert demo.get(first, "/runs").status_code == 200
    assert [demo.get(first, path).status_code for path in paths] == [404] * len(paths)


def test_who_is_not_signed_in_sees_heatmaps_and_traces(demo: Demo) -> None:
    text = {"checkpoints": ["tiny"], "prompt": "1+1?", "response": "2"}
    assert len(demo.post(NOBODY, "/inspections", text).json()["checkpoints"]) == 1
    (begun,) = demo.begin(NOBODY, 1)
    trace = begun.json()[0]["id"]
    with httpx.stream("GET", f"{demo.url}/traces/events?trace={trace}", timeout=60) as events:
        assert any(line == "event: ended" for line in events.iter_lines())
    assert demo.get(NOBODY, f"/traces/{trace}").status_code == 200
