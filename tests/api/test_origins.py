"""Without accounts the studio is for this machine alone, whatever name it is called by."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.app import create_api
from gift_core.config.headers import CLIENT_HEADERS, HOST_HEADERS, PROXY_MARKS
from tests.serving import serve
from workers.settings import Settings
from workers.studio import Studio

LOCAL = ["127.0.0.1", "127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860", "studio.localhost", "127.8.8.8"]
FOREIGN = [
    "evil.example",
    "evil.example:7860",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.2",
    "0.0.0.0",
    "",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    studio = Studio(Settings(data_dir=tmp_path_factory.mktemp("studio")))
    with serve(create_api(studio)) as address:
        yield address
    studio.close()


@pytest.mark.parametrize("name", LOCAL)
def test_names_of_this_machine_are_answered(url: str, name: str) -> None:
    assert httpx.get(f"{url}/api/v1/runs", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("path", ["/api/v1/runs", "/healthz", "/sign-in"])
def test_a_name_that_was_pointed_at_this_machine_is_not(url: str, path: str, name: str) -> None:
    answer = httpx.get(f"{url}{path}", headers={"Host": name})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_local")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "127.0.0.1, 192.0.2.7"},
        {"X-Forwarded-For": "192.0.2.7, 127.0.0.1"},
        {"X-Forwarded-Host": "evil.example"},
    ],
)
def test_a_proxy_does_not_let_others_in(url: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"{url}/api/v1/runs", headers=headers).status_code == 403


def test_a_front_end_on_this_machine_does(url: str) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost:7861"}
    assert httpx.get(f"{url}/api/v1/session", headers=headers).json()["role"] == "admin"


def test_every_answer_forbids_loading_from_elsewhere(url: str) -> None:
    for path in ("/healthz", "/api/v1/runs", "/api/v1/nothing", "/docs"):
        headers = httpx.get(f"{url}{path}").headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Real-IP": "192.0.2.7"},
        {"CF-Connecting-IP": "2001:db8::1"},
        {"Forwarded": 'for="[2001:db8::1]:4711";proto=https'},
        {"Forwarded": "for=127.0.0.1, for=192.0.2.7"},
        {"Forwarded": "for=_hidden"},
        {"Forwarded": "proto=https"},
        {"Forwarded": "for=127.0.0.1;host=studio.example"},
        {"Forwarded": "for=127.0.0.1, by=10.0.0.1"},
        {"Forwarded": "nonsense"},
        *({name: "192.0.2.7"} for name in CLIENT_HEADERS),
        *({name: "studio.example"} for name in HOST_HEADERS),
        *({name: "127.0.0.1, unknown"} for name in CLIENT_HEADERS),
        *({name: "1"} for name in PROXY_MARKS),
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Port": "443"},
        {"X-Forwarded-Anything": "x"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"},
        {"X-Forwarded-For": "127.0.0.1, 127.0.0.1.evil.example"},
        {"Via": "1.1 proxy.example"},
        {"X-Forwarded-Host": "[::1"},
    ],
)
def test_a_proxy_is_known_by_whatever_it_says(url: str, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{url}/api/v1/runs", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_local")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Real-IP": "::1"},
        {"X-Forwarded-For": "[::1]:4711, 127.0.0.1:80"},
        {"Forwarded": 'for="[::1]:1";host=localhost'},
    ],
)
def test_a_proxy_that_asks_for_this_machine_is_answered(url: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"{url}/api/v1/runs", headers=headers).status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "null", "", "http://", "x" * 5000, "évil"])
def test_an_origin_that_cannot_be_read_is_another_site(url: str, origin: str) -> None:
    answer = httpx.post(f"{url}/api/v1/queue/pause", headers={"Origin": origin.encode()})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin")
    assert len(answer.json()["detail"]) < 1500
    assert "GIFT_PUBLIC_URL" in answer.json()["detail"]


def test_the_port_that_a_scheme_implies_makes_no_other_site(url: str) -> None:
    for host, origin in (("localhost:80", "http://localhost"), ("localhost", "http://localhost:80")):
        answer = httpx.post(f"{url}/api/v1/queue/resume", headers={"Host": host, "Origin": origin})
        assert answer.status_code == 200
    answer = httpx.post(f"{url}/api/v1/queue/resume", headers={"Host": "localhost:80", "Origin": "https://localhost"})
    assert answer.status_code == 403
