"""What a tab that is older than its server is told at Gradio's addresses: 404 in words, and nothing in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from app import create_app
from tests.serving import free_port, serve_on
from ui.server.stale import exception_handlers
from workers.settings import Settings

EMPTY: dict[str, Any] = {"data": []}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with free_port() as listener:
        folder = tmp_path_factory.mktemp("studio")
        settings = Settings(data_dir=folder, port=listener.getsockname()[1], embedded_worker=False)
        with serve_on(listener, create_app(settings)) as url:
            yield f"{url}/gradio_api"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "queue/data?session_hash=old", None),
        ("GET", "call/launch/0123456789abcdef", None),
        ("GET", "call/v2/launch/0123456789abcdef", None),
        ("POST", "call/v2/unknown", {}),
        ("POST", "call/unknown", EMPTY),
        ("POST", "call/%00", EMPTY),
        ("POST", "run/unknown", EMPTY),
        ("POST", "api/unknown", EMPTY),
        ("POST", "queue/join", EMPTY | {"fn_index": 9999, "session_hash": "old"}),
        ("POST", "run/predict", EMPTY | {"fn_index": 9999}),
        ("POST", "call/v2/_launch", {}),
        ("POST", "component_server", {"session_hash": "old", "component_id": 99999, "fn_name": "x", "data": {}}),
    ],
)
def test_what_the_server_does_not_know_is_404_in_words(
    address: str, caplog: pytest.LogCaptureFixture, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = httpx.request(method, f"{address}/{path}", json=body, trust_env=False)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith("Reload the page.")
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


def test_a_session_that_is_known_has_its_events(address: str) -> None:
    """The first handler of the launch page, called as a browser does."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        functions = client.get(f"{address.removesuffix('/gradio_api')}/config").json()["dependencies"]
        function = next(each for each in functions if each["queue"] and not each["inputs"] and each["backend_fn"])
        asked = {"data": [], "fn_index": function["id"], "session_hash": "known", "event_data": None}
        event = client.post("/queue/join", json=asked).json()["event_id"]
        with client.stream("GET", "/queue/data", params={"session_hash": "known"}) as events:
            assert events.is_success
            said = [line for line in events.iter_lines() if line.startswith("data:")]
        assert any(event in line and "process_completed" in line for line in said)


def test_a_handler_beside_the_queue_is_known_by_its_number(address: str) -> None:
    """As a browser asks for it, which names none of the studio's functions."""
    functions = httpx.get(f"{address.removesuffix('/gradio_api')}/config", trust_env=False).json()["dependencies"]
    function = next(each for each in functions if not each["queue"] and not each["inputs"] and each["backend_fn"])
    asked = {"data": [], "fn_index": function["id"], "session_hash": "known"}
    assert httpx.post(f"{address}/run/predict", json=asked, trust_env=False).is_success


def test_an_error_of_another_place_stays_what_it_is() -> None:
    handle = exception_handlers()[KeyError]
    for error in (_raised(), KeyError("never raised")):
        with pytest.raises(KeyError):
            handle(Request({"type": "http"}), error)


def _raised() -> KeyError:
    try:
        raise KeyError(Path(__file__).name)
    except KeyError as error:
        return error
