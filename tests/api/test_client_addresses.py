"""Where a request comes from: an IP address or `unknown`, never a text of the sender's; and no way around a limit."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.app import create_api
from gift_core.config.addresses import canonical_ip
from tests.api.secured import SECRET, secured_studio, stop_the_clock
from tests.serving import serve
from workers.studio import Studio

# All of them are passed on by a proxy on this machine, which is believed.
NAMED = {
    "192.0.2.7": "192.0.2.7",
    "192.0.2.7:4711": "192.0.2.7",
    "[2001:DB8::1]:80": "2001:db8::1",
    "2001:0db8:0:0::1": "2001:db8::1",
    "::ffff:192.0.2.7": "192.0.2.7",
    "fe80::1%<script>": "fe80::1",
    "198.51.100.1, 203.0.113.9": "203.0.113.9",
    "<script>alert(1)</script>": "unknown",
    "x" * 5000: "unknown",
    "studio.example": "unknown",
    "1.2.3": "unknown",
    "192.0.2.7; DROP TABLE": "unknown",
    "unknown": "unknown",
    "_hidden": "unknown",
}


@pytest.fixture
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = secured_studio(tmp_path_factory.mktemp("studio"))
    yield studio
    studio.close()


@pytest.fixture
def http(studio: Studio) -> Iterator[httpx.Client]:
    app = create_api(studio)
    stop_the_clock(app)
    with serve(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


def test_the_audit_log_holds_addresses(studio: Studio, http: httpx.Client) -> None:
    for named in NAMED:
        tried = http.post("/sign-in", data={"secret": SECRET}, headers={"X-Forwarded-For": named})
        assert tried.status_code == 303, named
    noted = [entry.address for entry in studio.audit.page(500)]
    assert sorted(noted) == sorted(NAMED.values())


def test_what_is_no_address_has_one_limit_together(http: httpx.Client) -> None:
    statuses = [
        http.post("/sign-in", data={"secret": "wrong"}, headers={"X-Forwarded-For": f"<{number}>"}).status_code
        for number in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2


def test_a_new_address_each_time_is_no_way_around_the_limit(http: httpx.Client) -> None:
    def tries(number: int) -> int:
        named = {"X-Forwarded-For": f"10.{number // 250}.{number % 250}.1"}
        return http.post("/sign-in", data={"secret": "wrong"}, headers=named).status_code

    statuses = [tries(number) for number in range(200)]
    assert statuses == [401] * 120 + [429] * 80
    # Who comes without a proxy has a limit of their own.
    assert http.post("/sign-in", data={"secret": SECRET}).status_code == 303


@pytest.mark.parametrize("text", ["", " ", "1", "1.2.3.4.5", "::g", "%eth0", "127.0.0.1%x", "localhost", "1.2.3.4/8"])
def test_only_an_address_is_one(text: str) -> None:
    assert canonical_ip(text) in (None, "127.0.0.1")
    assert "%" not in (canonical_ip(text) or "")


def test_the_addresses_of_one_ipv6_network_share_a_limit(http: httpx.Client) -> None:
    def tries(address: str) -> int:
        return http.post("/sign-in", data={"secret": "wrong"}, headers={"X-Forwarded-For": address}).status_code

    assert [tries(f"2001:db8::{number:x}") for number in range(12)] == [401] * 10 + [429] * 2
    assert tries("2001:db8:0:1::1") == 401
    assert [tries(f"192.0.2.{number}") for number in range(12)] == [401] * 12
