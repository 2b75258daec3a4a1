"""Who is signed in where, the ways to end it, and what ends with it: keys that were made so, and streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import event_response
from api.access.browsers import browser_name
from api.app import create_api
from gift_core.spec import ExperimentSpec
from tests.api.secured import SECRET, key_of, person, secured_studio, session_of
from tests.serving import serve
from workers.account_records import Role
from workers.live_traces import LiveTrace
from workers.studio import Studio
from workers.traces import TraceService

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
COOKIE = "gift_session"
Open = Callable[..., tuple[Studio, str]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Starts a studio on this test's folder with such settings."""
    with ExitStack() as stack:

        def start(**changes: Any) -> tuple[Studio, str]:
            studio = stack.enter_context(closing(secured_studio(tmp_path / "data", **changes)))
            return studio, stack.enter_context(serve(create_api(studio, events_interval=0.02)))

        yield start


@contextmanager
def browser(url: str, secret: str = SECRET) -> Iterator[httpx.Client]:
    """A browser that has signed in."""
    with httpx.Client(base_url=url, timeout=60, headers={"User-Agent": FIREFOX}) as client:
        assert client.post("/sign-in", data={"secret": secret}).status_code == 303
        yield client


def test_a_new_secret_ends_sessions_and_the_keys_that_were_made_in_them(opened: Open) -> None:
    before, url = opened()
    with browser(url) as signed_in:
        made = signed_in.post("/api/v1/keys", json={"name": "to-stay", "scopes": ["admin", "read"], "role": "admin"})
        assert (made.json()["ends_with_secret"], made.json()["has_ended"]) == (True, False)
        cookie = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE]}"}
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    for headers in (cookie, key):
        assert httpx.get(f"{url}/api/v1/audit", headers=headers).status_code == 200
    before.close()

    _, url = opened(secret="a new secret, chosen later")
    for headers in (cookie, key):
        assert httpx.get(f"{url}/api/v1/audit", headers=headers).status_code == 401
    assert httpx.post(f"{url}/api/v1/keys", json={"name": "more"}, headers=cookie).status_code == 401
    with browser(url, "a new secret, chosen later") as signed_in:
        assert len(signed_in.get("/api/v1/sessions").json()["items"]) == 1
        (listed,) = signed_in.get("/api/v1/keys").json()["items"]
        assert (listed["ends_with_secret"], listed["has_ended"], listed["revoked"]) == (True, True, None)


def test_everybody_lists_and_ends_their_own_and_an_admin_all(opened: Open) -> None:
    studio, url = opened()
    owner, visitor = (person(studio.accounts, name, role) for name, role in (("o", Role.OWNER), ("v", Role.VISITOR)))
    owners, visitors = session_of(studio.accounts, owner), session_of(studio.accounts, visitor)
    with browser(url) as admin:
        everything = admin.get("/api/v1/sessions").json()["items"]
        assert [each["account_id"] for each in everything] == ["local", visitor.id, owner.id]
        assert (everything[0]["means"], everything[0]["browser"]) == ("secret", "Firefox on Linux")
        assert everything[0]["address"] == "127.0.0.1"
        assert not {"digest", "secret_mark"} & set(everything[0])
        own = httpx.get(f"{url}/api/v1/sessions", headers=owners).json()["items"]
        assert [each["account_id"] for each in own] == [owner.id]
        for headers, status in ((visitors, 403), (owners, 200), (owners, 401)):
            answer = httpx.delete(f"{url}/api/v1/sessions/{own[0]['id']}", headers=headers)
            assert answer.status_code == status
        (theirs,) = httpx.get(f"{url}/api/v1/sessions", headers=visitors).json()["items"]
        ended = admin.delete(f"/api/v1/sessions/{theirs['id']}")
        assert (ended.status_code, ended.json()["ended"] is not None) == (200, True)
        assert httpx.get(f"{url}/api/v1/sessions", headers=visitors).status_code == 401
        assert admin.delete("/api/v1/sessions/none").status_code == 404
        told = [
            (each["account_id"], each["action"], each["outcome"]) for each in admin.get("/api/v1/audit").json()["items"]
        ]
    assert ("local", "end_sessions", "200") in told
    assert (owner.id, "end_sessions", "200") in told
    assert (visitor.id, "end_sessions", "403") in told


def test_the_page_lists_sessions_and_ends_them_without_a_script(opened: Open) -> None:
    studio, url = opened()
    owner = person(studio.accounts, "owner")
    elsewhere = session_of(studio.accounts, owner)
    with browser(url) as first, browser(url) as second:
        page = first.get("/sign-in").text
        assert "Firefox on Linux (this one)" in page
        assert page.count(">End</button>") == 3
        assert "Sessions of others" in page
        assert "<script" not in page
        own = {each["id"] for each in second.get("/api/v1/sessions").json()["items"] if each["account_id"] == "local"}
        other = next(each for each in own if f"/sign-in/sessions/{each}/end" in page and _is_older(second, each))
        foreign = {"Origin": "https://evil.example"}
        assert second.post(f"/sign-in/sessions/{other}/end", headers=foreign).status_code == 403
        assert first.get("/api/v1/runs").status_code == 200
        ended = second.post(f"/sign-in/sessions/{other}/end")
        assert (ended.status_code, ended.headers["location"]) == (303, "/sign-in")
        assert first.get("/api/v1/runs").status_code == 401
        assert "Sign in" in first.get("/sign-in").text
        mine = httpx.get(f"{url}/sign-in", headers=elsewhere).text
        assert "Your sessions" in mine
        assert "Sessions of others" not in mine


def _is_older(client: httpx.Client, session_id: str) -> bool:
    listed = [each for each in client.get("/api/v1/sessions").json()["items"] if each["account_id"] == "local"]
    return bool(listed[-1]["id"] == session_id)


def test_signing_in_again_ends_the_former_session_and_adopts_none(opened: Open) -> None:
    _, url = opened()
    with browser(url) as client:
        former = client.cookies[COOKIE]
        assert client.post("/sign-in", data={"secret": SECRET}).status_code == 303
        assert client.cookies[COOKIE] != former
        with httpx.Client(base_url=url, headers={"Cookie": f"{COOKIE}={former}"}) as thief:
            assert thief.get("/api/v1/runs").status_code == 401
        planted = "x" * 43
        answer = httpx.post(f"{url}/sign-in", data={"secret": SECRET}, headers={"Cookie": f"{COOKIE}={planted}"})
        assert planted not in answer.headers["set-cookie"]
        assert httpx.get(f"{url}/api/v1/runs", headers={"Cookie": f"{COOKIE}={planted}"}).status_code == 401
        client.post("/sign-out")
    with browser(url) as admin:
        told = [each["action"] for each in admin.get("/api/v1/audit").json()["items"]]
        assert told == ["sign_in", "sign_out", "sign_in", "sign_in", "sign_in"]


@pytest.mark.parametrize("end", ["session", "key", "account", "role"])
@pytest.mark.parametrize("stream", ["events", "traces/events"])
def test_an_open_stream_ends_with_what_identified_its_client(
    opened: Open, monkeypatch: pytest.MonkeyPatch, end: str, stream: str
) -> None:
    monkeypatch.setattr(event_response, "CHECK_SECONDS", 0.2)
    studio, url = opened()
    trace = LiveTrace("waiting", "tiny", "Tiny", "")
    monkeypatch.setattr(TraceService, "live", lambda *_: trace)
    experiment, _ = studio.store.create_experiment(ExperimentSpec(), None)
    owner, other = person(studio.accounts, "owner"), person(studio.accounts, "other")
    headers = key_of(studio.accounts, owner) if end == "key" else session_of(studio.accounts, owner)
    topic = {"topic": f"experiment:{experiment.id}"}
    if stream == "traces/events":
        topic = {"trace": "waiting"}
    path = f"{url}/api/v1/{stream}"
    stays, ends = threading.Event(), threading.Event()

    def read(headers: dict[str, str], ended: threading.Event) -> None:
        # The one that stays is cut off at the end of the test.
        with (
            suppress(httpx.RemoteProtocolError),
            httpx.stream("GET", path, params=topic, headers=headers, timeout=120) as answer,
        ):
            assert answer.status_code == 200
            begun.release()
            for _ in answer.iter_bytes():
                pass
        ended.set()

    begun = threading.Semaphore(0)
    for visitor, ended in ((headers, ends), (session_of(studio.accounts, other), stays)):
        threading.Thread(target=read, args=(visitor, ended), daemon=True).start()
    for _ in range(2):
        assert begun.acquire(timeout=60)
    assert not ends.wait(0.5), "it goes on for as long as nothing ends"
    if end == "session":
        studio.accounts.sessions.end(studio.accounts.sessions.all(owner.id)[0].id)
    elif end == "key":
        studio.accounts.revoke(headers["Authorization"].split("_")[1])
    else:
        studio.accounts.change(owner.id, {"disabled": True} if end == "account" else {"role": Role.VISITOR})
    assert ends.wait(60)
    assert not stays.is_set()


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("<script>alert(1)</script>", ""),
        ("", ""),
    ],
)
def test_a_browser_is_called_by_known_names_only(user_agent: str, expected: str) -> None:
    assert browser_name(user_agent) == expected
