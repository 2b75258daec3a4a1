"""Every error is a problem document, whatever went wrong, and the client repeats its text."""

from __future__ import annotations

import logging

import httpx
import pytest

from ui.client import StudioClient
from ui.connection import StudioError

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/runs/nowhere", None, 404, "not_found"),
        ("GET", "/no/such/route", None, 404, "not_found"),
        ("DELETE", "/runs", None, 405, "method_not_allowed"),
        ("POST", "/experiments", b"{", 400, "request"),
        ("POST", "/experiments", b"\xff", 400, "request"),
        ("POST", "/experiments", b"", 422, "request"),
        ("POST", "/experiments", b"[1]", 422, "request"),
        ("POST", "/inspections", b'{"checkpoints": []}', 422, "request"),
        ("POST", "/experiments", b'"' + b"x" * 1_000_001, 413, "too_large"),
        ("GET", "/metrics?after=-1", None, 422, "request"),
    ],
)
def test_is_a_problem_document(url, method, path, content, status, code):
    headers = {"Content-Type": "application/json"}
    response = httpx.request(method, f"{url}/api/v1{path}", content=content, headers=headers)
    document = response.json()
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert response.headers["content-type"] == PROBLEM
    assert document["title"]
    assert all(problem["message"] for problem in document["problems"])


def test_a_large_body_in_chunks_is_refused_too(url):
    headers = {"Content-Type": "application/json"}
    chunks = (b" " * 400_000 for _ in range(3))
    response = httpx.post(f"{url}/api/v1/experiments", content=chunks, headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"


def test_long_texts_and_many_checkpoints_are_refused_by_name(client):
    with pytest.raises(StudioError) as refused:
        client.denoise(["tiny"] * 5, "x" * 20_001)
    assert {problem.field for problem in refused.value.problems} == {"checkpoints", "prompt"}


def test_an_unexpected_fault_tells_the_log_and_not_the_user(studio, client, url, monkeypatch, caplog):
    def fail() -> None:
        raise ZeroDivisionError("private detail")

    monkeypatch.setattr(studio, "checkpoints", fail)
    with caplog.at_level(logging.ERROR):
        response = httpx.get(f"{url}/api/v1/checkpoints")
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert "private" not in response.text
    with pytest.raises(StudioError, match="unexpected"):
        client.checkpoints()


def test_the_text_is_the_backends_own(client, url):
    response = httpx.get(f"{url}/api/v1/runs/nowhere")
    problem = response.json()["problems"][0]
    with pytest.raises(StudioError) as refused:
        client.run("nowhere")
    assert str(refused.value) == f"{problem['message']} {problem['remedy']}"


def test_a_backend_that_is_not_there_is_named_with_a_remedy():
    with (
        StudioClient("http://127.0.0.1:9") as client,
        pytest.raises(StudioError, match=r"http://127\.0\.0\.1:9 does not answer\. Start it") as error,
    ):
        client.models()
    assert error.value.status == 0


def test_an_answer_from_something_else_is_an_error_too():
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<h1>Bad Gateway</h1>"))
    with StudioClient("http://studio", transport=transport) as client, pytest.raises(StudioError, match="502"):
        client.models()


def test_a_page_of_another_site_cannot_change_anything(url):
    elsewhere = httpx.post(f"{url}/api/v1/runs/run_any/stop", headers={"Origin": "http://evil.example"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "origin")
    own = httpx.post(f"{url}/api/v1/runs/run_any/stop", headers={"Origin": url})
    assert own.status_code == 404
    assert httpx.get(f"{url}/api/v1/models", headers={"Origin": "http://evil.example"}).is_success
