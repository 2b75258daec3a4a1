"""The address to listen on: refused with its setting where nothing can listen, and reached as it is written."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from tests.serving import free_port
from workers.settings import ConfigurationError, Settings
from workers.startup.listening import check_listening, own_url, trusted_forwarders


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7860"),
        ("0.0.0.0", "http://127.0.0.1:7860"),
        ("::", "http://[::1]:7860"),
        ("::1", "http://[::1]:7860"),
        ("[::1]", "http://[::1]:7860"),
        ("localhost", "http://localhost:7860"),
    ],
)
def test_this_machine_reaches_the_studio_where_it_listens(host: str, url: str) -> None:
    assert own_url(Settings(host=host, port=7860)) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"])
def test_only_this_machine_is_believed_unless_a_proxy_is_named(host: str) -> None:
    assert set(trusted_forwarders(Settings(host=host))) == {"127.0.0.1", "::1"}
    named = trusted_forwarders(Settings(host=host, trusted_proxies="10.0.0.0/24"))
    assert set(named) == {"127.0.0.1", "::1", "10.0.0.0/24"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_that_is_taken_is_said(host: str) -> None:
    with free_port() as taken:
        port = taken.getsockname()[1]
        assert f"GIFT_PORT: It cannot listen on {'0.0.0.0' if host == '0.0.0.0' else '127.0.0.1'}, port {port}" in (
            refused(Settings(host=host, port=port))
        )


def test_an_ipv6_port_that_is_taken_is_said() -> None:
    with closing(socket.socket(socket.AF_INET6)) as taken:
        try:
            taken.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        taken.listen()
        port = taken.getsockname()[1]
        assert f"GIFT_PORT: It cannot listen on [::1], port {port}: Address already in use." in refused(
            Settings(host="[::1]", port=port)
        )


def test_an_address_of_another_machine_is_a_matter_of_the_host() -> None:
    assert refused(Settings(host="192.0.2.7")).startswith("GIFT_HOST: It cannot listen on 192.0.2.7, port 7860: ")
    assert refused(Settings(host="nowhere.invalid")).startswith("GIFT_HOST: This machine cannot find this host.")


def refused(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as error:
        check_listening(settings)
    return str(error.value)
