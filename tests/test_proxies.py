"""The whole studio behind reverse proxies: what works, and what a person is told of what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import SHUTDOWN_SECONDS, create_app
from gift_core.config.headers import PROXY_HEADERS
from tests.api.secured import SECRET
from tests.reverse_proxy import reverse_proxy
from tests.serving import free_port, serve_on
from workers.settings import Settings

# What a proxy says in headers that hold no address.
SAID = {"forwarded": "for=192.0.2.7;proto=https", "via": "1.1 proxy", "x-forwarded-proto": "https"}
# Pages, Gradio's addresses, streams, files and the API.
ASKED = [
    *(("GET", path) for path in ("/", "/runs", "/config", "/gradio_api/queue/data?session_hash=x", "/healthz")),
    *(("GET", path) for path in ("/components/dom.js", "/api/v1/events?topic=queue", "/offline.html?trace=x")),
    *(("POST", path) for path in ("/gradio_api/queue/join", "/gradio_api/upload")),
    ("GET", "/api/v1/runs"),
]


@contextmanager
def behind(
    data: Path, *, is_known: bool, keeps_host: bool, forwards: bool, scheme: str = "http", **settings: Any
) -> Iterator[str]:
    """The address of a proxy with a studio behind it, which knows that address if it `is_known`."""
    with ExitStack() as running:
        front, back = running.enter_context(free_port()), running.enter_context(free_port())
        public = f"{scheme}://127.0.0.1:{front.getsockname()[1]}"
        chosen = Settings(
            data_dir=data,
            port=back.getsockname()[1],
            embedded_worker=False,
            public_url=public if is_known else None,
            **settings,
        )
        url = running.enter_context(serve_on(back, create_app(chosen), shutdown_seconds=SHUTDOWN_SECONDS))
        kind = {"keeps_host": keeps_host, "forwards": forwards, "scheme": scheme}
        yield running.enter_context(reverse_proxy(front, url, **kind))


def browser(address: str) -> httpx.Client:
    """Sends what a browser sends with the requests of a page at that address."""
    origin = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    return httpx.Client(base_url=address, headers=origin, trust_env=False, timeout=60)


@pytest.mark.parametrize(
    ("is_known", "keeps_host", "forwards"), [(True, False, False), (True, False, True), (False, True, False)]
)
def test_pages_api_and_streams_work(tmp_path: Path, is_known: bool, keeps_host: bool, forwards: bool) -> None:
    kind = {"is_known": is_known, "keeps_host": keeps_host, "forwards": forwards}
    with behind(tmp_path, **kind, secret=SECRET) as address, browser(address) as http:
        turned_away = http.get("/runs", headers={"Accept": "text/html"})
        assert (turned_away.status_code, turned_away.headers["location"]) == (303, "/sign-in?next=%2Fruns")
        entered = http.post("/sign-in", data={"secret": SECRET, "next": "/runs"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/runs")
        assert "Secure" not in entered.headers["set-cookie"]
        assert http.get("/api/v1/session").json()["role"] == "admin"
        assert "GIFT Studio" in http.get("/runs").text

        config = http.get("/config").json()
        assert config["root"] == address, "browsers are sent to the proxy, and to nowhere behind it"
        assert "process_completed" in fired(http, config)

        assert http.post("/api/v1/queue/pause").json()["paused"] is True
        with http.stream("GET", "/api/v1/events", params={"topic": "queue"}) as events:
            assert any('"paused"' in line for line in events.iter_lines())


def fired(http: httpx.Client, config: dict[str, Any]) -> str:
    """What came of an event that a page fires when it opens, over Gradio's queue and its stream."""
    opening = next(each for each in config["dependencies"] if each["targets"][0][1] == "load" and each["backend_fn"])
    held = {part["id"]: part["props"].get("value") for part in config["components"]}
    inputs = [held.get(part) for part in opening["inputs"]]
    body = {"data": inputs, "event_data": None, "fn_index": opening["id"], "session_hash": "a-page"}
    joined = http.post("/gradio_api/queue/join", json=body)
    assert joined.status_code == 200, joined.text
    with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": "a-page"}) as events:
        return next(line for line in events.iter_lines() if "process_completed" in line)


def test_a_refusal_says_which_setting_is_missing(tmp_path: Path) -> None:
    with (
        behind(tmp_path, is_known=False, keeps_host=False, forwards=False, secret=SECRET) as address,
        browser(address) as http,
    ):
        assert http.get("/sign-in").is_success, "reading works"
        for path in ("/sign-in", "/api/v1/experiments", "/gradio_api/queue/join", "/gradio_api/upload"):
            answer = http.post(path, json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin")
            [problem] = answer.json()["problems"]
            assert f"comes from a page of {address}, and was addressed to the host 127.0.0.1:" in problem["message"]
            assert f"start the studio with GIFT_PUBLIC_URL={address}" in problem["remedy"]
            # Gradio's script shows this and nothing else.
            assert problem["message"] in answer.json()["detail"]
            assert problem["remedy"] in answer.json()["detail"]


def test_a_page_that_is_elsewhere_is_told_the_address_that_counts(tmp_path: Path) -> None:
    with (
        behind(tmp_path, is_known=True, keeps_host=True, forwards=True, secret=SECRET) as address,
        browser("https://evil.example") as foreign,
    ):
        answer = foreign.post(f"{address}/api/v1/queue/pause")
    assert answer.status_code == 403
    message = answer.json()["problems"][0]["message"]
    assert "a page of https://evil.example, " in message
    assert f"and GIFT_PUBLIC_URL is {address}" in message


@pytest.mark.parametrize(
    ("is_known", "forwards", "is_secure"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_cookies_are_secure_where_the_studio_can_know_of_tls(
    tmp_path: Path, is_known: bool, forwards: bool, is_secure: bool
) -> None:
    kind = {"is_known": is_known, "keeps_host": True, "forwards": forwards, "scheme": "https"}
    with behind(tmp_path, **kind, secret=SECRET) as address, httpx.Client(base_url=address, trust_env=False) as http:
        entered = http.post("/sign-in", data={"secret": SECRET}, headers={"Origin": address.replace("http", "https")})
    assert ("Secure" in entered.headers["set-cookie"]) is is_secure


@pytest.mark.parametrize("is_known", [True, False])
def test_without_accounts_a_proxy_that_says_whom_it_asks_for_lets_nobody_in(tmp_path: Path, is_known: bool) -> None:
    with behind(tmp_path, is_known=is_known, keeps_host=False, forwards=False) as address:
        expect_refused(address, ASKED)


def expect_refused(address: str, asked: list[tuple[str, str]]) -> None:
    """Whatever a proxy says of itself or of its clients, nothing answers."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as http:
        for header in PROXY_HEADERS:
            value = SAID.get(header, "192.0.2.7")
            for method, path in asked:
                answer = http.request(method, path, headers={header: value})
                assert answer.status_code == 403, f"{header}: {method} {path}"
                assert "GIFT_SECRET" in json.dumps(answer.json()["problems"])
            assert header in answer.text.lower() or header.endswith("-host")


def test_a_front_end_of_its_own_passes_on_what_a_proxy_says(tmp_path: Path) -> None:
    """The backend judges it: behind such a front end it hears of the proxy only from there."""
    with free_port() as back, free_port() as front:
        studio = Settings(data_dir=tmp_path / "data", port=back.getsockname()[1], embedded_worker=False)
        with serve_on(back, create_app(studio), shutdown_seconds=SHUTDOWN_SECONDS) as url:
            pages = Settings(api_url=url, data_dir=tmp_path / "pages", port=front.getsockname()[1])
            with serve_on(front, create_app(pages), shutdown_seconds=SHUTDOWN_SECONDS) as address:
                assert httpx.get(f"{address}/config", trust_env=False).status_code == 200
                assert httpx.get(f"{address}/api/v1/runs", trust_env=False).status_code == 200
                through = [each for each in ASKED if each[1] not in ("/healthz", "/components/dom.js")]
                expect_refused(address, through)
