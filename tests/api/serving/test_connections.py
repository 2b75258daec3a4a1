"""How connections are counted, and which one goes when there is no room for another."""

from __future__ import annotations

import pytest

from api.serving.connections import Connections


class Connection:
    """One that is counted; it notes that it was closed."""

    def __init__(self) -> None:
        self.is_open = True

    def drop(self) -> None:
        self.is_open = False


def admitted(counted: Connections, host: str | None, number: int) -> list[Connection]:
    made = [Connection() for _ in range(number)]
    for each in made:
        assert counted.admit(each, host)
    return made


def test_one_that_waits_longest_goes_for_another() -> None:
    counted = Connections(3, 3)
    first, second, third = admitted(counted, "127.0.0.1", 3)
    counted.works(first)
    [fourth] = admitted(counted, "127.0.0.1", 1)
    assert (first.is_open, second.is_open, third.is_open, fourth.is_open, len(counted)) == (True, False, True, True, 3)
    # Its answer is sent: it waits again, but not as long as the others.
    counted.waits(first)
    admitted(counted, "127.0.0.1", 2)
    assert (first.is_open, third.is_open, fourth.is_open) == (True, False, False)


def test_where_all_have_a_request_the_new_one_is_refused() -> None:
    counted = Connections(2, 2)
    for each in admitted(counted, "127.0.0.1", 2):
        counted.works(each)
    assert not counted.admit(Connection(), "127.0.0.1")
    assert len(counted) == 2


def test_an_address_fills_up_its_own_places_only() -> None:
    counted = Connections(10, 3)
    idle = admitted(counted, "198.51.100.1", 30)
    visitor = admitted(counted, "198.51.100.2", 1)
    assert sum(each.is_open for each in idle) == 3
    assert all(each.is_open for each in [*idle[-3:], *visitor])
    for each in idle[-3:]:
        counted.works(each)
    assert not counted.admit(Connection(), "198.51.100.1")
    assert admitted(counted, "198.51.100.3", 3)


def test_an_ended_connection_leaves_its_place() -> None:
    counted = Connections(10, 2)
    first, second = admitted(counted, "198.51.100.1", 2)
    for each in (first, second):
        counted.works(each)
    counted.remove(first)
    counted.remove(first)
    admitted(counted, "198.51.100.1", 1)
    assert (len(counted), second.is_open) == (2, True)


def test_addresses_of_a_proxy_are_counted_in_all_only() -> None:
    counted = Connections(9, 2, ["203.0.113.7", "10.0.0.0/8", "2001:db8::/32"])
    hosts = ("203.0.113.7", "10.1.2.3", "2001:db8::1", "127.0.0.1", "::1", "::ffff:127.0.0.1", None)
    for host in hosts:
        for each in admitted(counted, host, 9):
            counted.works(each)
        assert len(counted) == 9, host
        assert not counted.admit(Connection(), host)
        counted = Connections(9, 2, ["203.0.113.7", "10.0.0.0/8", "2001:db8::/32"])


def test_a_network_of_ipv6_is_one_address_and_a_mapped_one_is_its_ipv4() -> None:
    counted = Connections(100, 2)
    own = admitted(counted, "2001:db8:1:1::1", 2)
    other = admitted(counted, "2001:db8:1:2::1", 2)
    admitted(counted, "2001:db8:1:1:ffff::2", 2)
    assert [each.is_open for each in [*own, *other]] == [False, False, True, True]
    mapped = admitted(counted, "::ffff:198.51.100.1", 2)
    admitted(counted, "198.51.100.1", 1)
    assert [each.is_open for each in mapped] == [False, True]
    # With the name of an interface, as the peer of a link-local address has.
    assert admitted(counted, "fe80::1%eth0", 1)


def test_it_says_once_that_it_is_full(caplog: pytest.LogCaptureFixture) -> None:
    counted = Connections(4, 4)
    filled = admitted(counted, "127.0.0.1", 20)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "GIFT_CONNECTIONS" in caplog.text
    for each in filled:
        counted.remove(each)
    admitted(counted, "127.0.0.1", 5)
    assert len(caplog.records) == 2
