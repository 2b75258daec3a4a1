"""Headers that cannot be read are refused in words, on the pages as on the API, and never a fault of the server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app import SHUTDOWN_SECONDS, create_app
from tests.api.secured import SECRET
from tests.serving import free_port, serve_on
from workers.settings import Settings

PATHS = ["/api/v1/session", "/sign-in", "/healthz", "/", "/config", "/gradio_api/info", "/components/dom.js"]
UNREADABLE = [
    *(
        (b"Host", value)
        for value in (b"\xc3\xa9", b"[::1", b"a]b", b"a b", b"a/b", b"host:99999", b"host:x", b"u@host")
    ),
    *((b"Authorization", value) for value in (b"Bearer \xc3\xa9", b"Bearer \x01", b"\x7f")),
    *((b"X-Forwarded-Host", value) for value in (b"[::1", b"\xe9", b"a, [::1", b"a b")),
    *((b"X-Forwarded-For", value) for value in (b"\xc3\xa9", b"<script>\x01")),
    *((b"X-Forwarded-Proto", value) for value in (b"ht tp", b"http://x", b"\xe9")),
    *((name, b"\xe9") for name in (b"Forwarded", b"Via", b"X-Real-IP", b"CF-Connecting-IP", b"True-Client-IP")),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with free_port() as listener:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("studio"),
            port=listener.getsockname()[1],
            embedded_worker=False,
            secret=SECRET,
            public=True,
            requests_per_minute=1_000_000,
        )
        with (
            serve_on(listener, create_app(settings), shutdown_seconds=SHUTDOWN_SECONDS) as address,
            httpx.Client(base_url=address, timeout=60, trust_env=False) as http,
        ):
            # Signed in, it reaches what is behind the door too.
            http.post("/sign-in", data={"secret": SECRET})
            yield http


@pytest.mark.parametrize(("name", "value"), UNREADABLE)
def test_what_cannot_be_read_is_refused_by_name(site: httpx.Client, name: bytes, value: bytes) -> None:
    for path in PATHS:
        answer = site.get(path, headers=[(name, value)])
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), path
        [problem] = answer.json()["problems"]
        assert name.decode().lower() in problem["message"].lower()
        assert problem["remedy"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Host", b"studio.example:7860"),
        (b"Host", b"[::1]:7860"),
        (b"Host", b"my_studio"),
        (b"X-Forwarded-Host", b"studio.example, inner:80"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Proto", b"https, http"),
        (b"X-Forwarded-For", b"192.0.2.7, 10.0.0.1"),
        (b"Authorization", b"Basic YTpi"),
        *((b"Origin", origin) for origin in (b"http://[", b"http://[::1", b"http://a]b", b"null", b"\xe9")),
        *((b"Cookie", cookie) for cookie in (b"other=\xc3\xa9", b'other="a\\012b"', b"gift_session=\xc3\xa9")),
        (b"Accept", b"text/html, \xe9"),
    ],
)
def test_what_is_well_formed_or_does_not_matter_is_answered(site: httpx.Client, name: bytes, value: bytes) -> None:
    for path in PATHS:
        assert site.get(path, headers=[(name, value)]).status_code == 200, path


def test_no_other_site_may_read_anything(site: httpx.Client) -> None:
    own = str(site.base_url).rstrip("/")
    for path in PATHS:
        for origin in (own, "http://localhost:9999", "http://evil.example", "null"):
            for method in ("GET", "OPTIONS"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                answer = site.request(method, path, headers=headers)
                assert not [name for name in answer.headers if name.startswith("access-control-allow-origin")], path
                assert "access-control-allow-credentials" not in answer.headers
        assert site.get(path, headers={"Origin": own}).status_code == 200
