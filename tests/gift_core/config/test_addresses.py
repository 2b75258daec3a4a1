"""Addresses are read the same way wherever they are written, and an error never repeats one."""

from __future__ import annotations

import pytest

from gift_core.config.addresses import AddressError, HttpAddress, in_url, is_loopback, parse_host, same_authority


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://127.0.0.1:7860", "http://127.0.0.1:7860"),
        ("http://127.0.0.1:7860/", "http://127.0.0.1:7860"),
        (" https://Studio.Example/ ", "https://studio.example"),
        ("HTTPS://studio.example:443/lab/", "https://studio.example/lab"),
        ("http://studio.example:80", "http://studio.example"),
        ("https://studio.example:80", "https://studio.example:80"),
        ("http://[::1]:7860/", "http://[::1]:7860"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ("http://gift_studio:7860/a/b//", "http://gift_studio:7860/a/b"),
    ],
)
def test_an_address_is_written_in_one_way_only(written: str, read: str) -> None:
    assert str(HttpAddress.parse(written)) == read
    assert str(HttpAddress.parse(read)) == read


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "begins with http://"),
        ("studio.example", "begins with http://"),
        ("studio.example:7860", "begins with http://"),
        ("ftp://studio.example", "begins with http://"),
        ("http://", "not a host name"),
        ("http://:7860", "not a host name"),
        ("http://::1:7860", "host"),
        ("http://[::1", "not valid"),
        ("http://[::1]x:80", "not valid"),
        ("http://studio.example:99999", "not valid"),
        ("http://studio.example:0", "port is a number"),
        ("http://studio.example:port", "not valid"),
        ("http://user:hunter22@studio.example", "user or a password"),
        ("http://studio.example/?token=hunter22", "ends before"),
        ("http://studio.example#hunter22", "ends before"),
        ("http://studio example", "no spaces"),
        ("http://studio\n.example", "no spaces"),
    ],
)
def test_what_is_not_an_address_is_refused_without_being_repeated(written: str, why: str) -> None:
    with pytest.raises(AddressError, match=why) as refused:
        HttpAddress.parse(written)
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "read", "shown"),
    [
        ("::1", "::1", "[::1]"),
        ("[::1]", "::1", "[::1]"),
        ("0:0::1", "::1", "[::1]"),
        ("::", "::", "[::]"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        (" LocalHost ", "localhost", "localhost"),
        ("my_box.lan", "my_box.lan", "my_box.lan"),
    ],
)
def test_a_host_has_brackets_in_an_address_only(written: str, read: str, shown: str) -> None:
    assert parse_host(written) == read
    assert in_url(parse_host(written)) == shown


@pytest.mark.parametrize(
    "written",
    ["", "http://localhost", "127.0.0.1:7860", "[::1]:7860", "[localhost]", "a b", "[::1", "x/y", "-x", "a..b"],
)
def test_what_is_not_a_host_is_refused(written: str) -> None:
    with pytest.raises(AddressError):
        parse_host(written)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("a.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_only_this_machine_is_this_machine(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own


def test_the_port_that_a_scheme_implies_may_be_left_out() -> None:
    assert same_authority("studio.example", "Studio.example:443", "https")
    assert same_authority("[::1]:80", "[::1]", "http")
    assert not same_authority("studio.example", "studio.example:443", "http")
    assert not same_authority("studio.example", "other.example", "https")
    assert not same_authority("[::1", "[::1", "http"), "what cannot be read is the same as nothing"
    assert not same_authority("", "", "http")
