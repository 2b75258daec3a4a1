"""HEAD is GET without a body, OPTIONS says what an address takes, and another method is refused by name."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.app import create_api
from tests.serving import serve
from workers.settings import Settings
from workers.studio import Studio

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    often = 1_000_000
    settings = Settings(data_dir=tmp_path_factory.mktemp("studio"), requests_per_minute=often, changes_per_minute=often)
    studio = Studio(settings)
    yield create_api(studio)
    studio.close()


@pytest.fixture(scope="module")
def site(app: FastAPI) -> Iterator[httpx.Client]:
    with serve(app) as address, httpx.Client(base_url=address, timeout=60) as http:
        yield http


def addresses(app: FastAPI) -> dict[str, set[str]]:
    """The methods of every address."""
    found: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.path and route.methods:
            path = route.path.replace(":path}", "}").replace("{", "").replace("}", "")
            found.setdefault(path, set()).update(route.methods)
    return found


def test_every_address_says_what_it_takes(app: FastAPI, site: httpx.Client) -> None:
    asked = addresses(app)
    assert len(asked) > 50
    for path, methods in asked.items():
        answer = site.options(path)
        named = set(answer.headers["allow"].split(", "))
        assert (answer.status_code, answer.content) == (204, b""), path
        # An id in one path may be a name in another: /datasets/hub is one of a data set as well.
        assert methods | {"OPTIONS"} <= named, path
        assert ("GET" in named) == ("HEAD" in named), path
        for method in set(METHODS) - named:
            refused = site.request(method, path)
            assert refused.status_code == 405, f"{method} {path}"
            assert set(refused.headers["allow"].split(", ")) == named
            assert refused.headers["content-type"] == "application/problem+json"
            assert method in refused.json()["problems"][0]["message"]


def test_head_is_get_without_a_body(app: FastAPI, site: httpx.Client) -> None:
    readable = [path for path, methods in addresses(app).items() if "GET" in methods]
    for path in readable:
        with site.stream("GET", path) as get:
            status, kind = get.status_code, get.headers.get("content-type")
        head = site.head(path)
        assert (head.status_code, head.headers.get("content-type"), head.content) == (status, kind, b""), path


def test_head_has_the_same_headers(site: httpx.Client) -> None:
    for path in ("/healthz", "/api/v1/session", "/api/v1/experiments", "/openapi.json"):
        get, head = site.get(path), site.head(path)
        for name in ("content-length", "etag", "cache-control"):
            assert get.headers.get(name) == head.headers.get(name)
        if tag := get.headers.get("etag"):
            assert site.head(path, headers={"If-None-Match": tag}).status_code == 304


def test_head_of_a_stream_ends_at_once_and_keeps_the_connection(site: httpx.Client) -> None:
    host, port = str(site.base_url.host), site.base_url.port
    with socket.create_connection((host, port), timeout=60) as connection:
        for path in ("/api/v1/events?topic=queue", "/healthz"):
            connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(4096)
            assert head.startswith(b"HTTP/1.1 200")


def test_what_has_no_address_is_not_found(site: httpx.Client) -> None:
    for method in (*METHODS, "OPTIONS", "HEAD"):
        assert site.request(method, "/api/v1/nothing").status_code == 404, method
