"""Turns go round by requester, whoever asks how often, in threads and in coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.fairness.keyed_locks import KeyedLocks
from workers.fairness.requester import STUDIO, Requester, Standing
from workers.fairness.semaphore import FairSemaphore

GREEDY, ALICE, BOB = (Requester(name, Standing.OWNER) for name in ("greedy", "alice", "bob"))
ADMIN = Requester("admin", Standing.ADMIN)
ANYONE = st.builds(Requester, st.sampled_from("abcd"), st.sampled_from(Standing))


async def served_in_order(requesters: Sequence[Requester], at_once: int = 1, own: int | None = None) -> list[Requester]:
    """All wait while the turns are taken by nobody else; then each has its turn."""
    turns, served = FairSemaphore(at_once, own), list[Requester]()

    async def serve(by: Requester) -> None:
        async with turns.awaited(by):
            served.append(by)
            await asyncio.sleep(0)

    async with AsyncExitStack() as blocked:
        for _ in range(at_once):
            await blocked.enter_async_context(turns.awaited(STUDIO))
        waiting = [asyncio.create_task(serve(by)) for by in requesters]
        while turns.waiting() < len(requesters):
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    return served


def test_one_of_a_hundred_requests_comes_between_two_of_others() -> None:
    served = asyncio.run(served_in_order([*[GREEDY] * 100, ALICE, ALICE, BOB]))
    assert served[:6] == [GREEDY, ALICE, BOB, GREEDY, ALICE, GREEDY]


def test_kinds_of_requesters_take_turns_however_many_are_of_one_kind() -> None:
    visitors = [Requester(f"address {number}", Standing.ANONYMOUS) for number in range(50)]
    served = asyncio.run(served_in_order([*visitors, ALICE, BOB, ADMIN]))
    assert {ALICE, ADMIN} < set(served[:3])
    assert BOB in served[:5]


@given(st.lists(ANYONE, min_size=1, max_size=40), st.integers(1, 20), st.integers(1, 8))
def test_everyone_is_served_once_and_waits_for_one_turn_of_each_other(
    requesters: list[Requester], at_once: int, own: int
) -> None:
    served = asyncio.run(served_in_order(requesters, at_once, own))
    assert Counter(served) == Counter(requesters)
    if at_once == 1:
        standings = len({by.standing for by in requesters})
        for by in set(requesters):
            alike = len({other for other in requesters if other.standing == by.standing})
            assert served.index(by) < standings * alike


@given(st.lists(ANYONE, min_size=1, max_size=60), st.integers(1, 24), st.integers(1, 8))
def test_what_is_held_at_once_keeps_to_the_shares(requesters: list[Requester], at_once: int, own: int) -> None:
    async def hold_all() -> list[Requester]:
        turns, held, done = FairSemaphore(at_once, own), list[Requester](), asyncio.Event()

        async def hold(by: Requester) -> None:
            async with turns.awaited(by):
                held.append(by)
                await done.wait()

        waiting = [asyncio.create_task(hold(by)) for by in requesters]
        while len(held) + turns.waiting() < len(requesters):
            await asyncio.sleep(0)
        seen = list(held)
        done.set()
        await asyncio.gather(*waiting)
        return seen

    held = asyncio.run(hold_all())
    assert 1 <= len(held) <= at_once
    assert max(Counter(held).values()) <= own
    assert sum(by.is_visitor for by in held) <= max(1, (at_once - 1) // 2)
    assert sum(not by.is_admin for by in held) <= at_once - at_once // 8


def test_a_thread_and_a_coroutine_wait_in_the_same_line() -> None:
    turns, served = FairSemaphore(), list[str]()

    def in_a_thread() -> None:
        with turns.held(ALICE):
            served.append("thread")

    async def wait_for_both() -> None:
        async with turns.awaited(GREEDY):
            thread = asyncio.create_task(asyncio.to_thread(in_a_thread))
            while turns.waiting() < 1:
                await asyncio.sleep(0)
        async with turns.awaited(GREEDY):
            served.append("coroutine")
        await thread

    asyncio.run(wait_for_both())
    assert served == ["thread", "coroutine"]


def test_who_gives_up_leaves_the_line_and_keeps_no_turn() -> None:
    async def give_up() -> list[Requester]:
        turns, served = FairSemaphore(), list[Requester]()

        async def serve(by: Requester) -> None:
            async with turns.awaited(by):
                served.append(by)

        async with turns.awaited(GREEDY):
            gone, waiting = asyncio.create_task(serve(ALICE)), asyncio.create_task(serve(BOB))
            while turns.waiting() < 2:
                await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert turns.waiting() == 1
        await waiting
        async with turns.awaited(ADMIN):
            assert turns.waiting() == 0
        return served

    assert asyncio.run(give_up()) == [BOB]


def test_what_fails_gives_its_turn_back() -> None:
    turns = FairSemaphore()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.held(ALICE):
            raise ZeroDivisionError
    with turns.held(BOB):
        assert turns.waiting() == 0


def test_a_lock_of_one_key_does_not_hold_up_another() -> None:
    locks, inside, go_on = KeyedLocks(), threading.Event(), threading.Event()
    order: list[str] = []

    def hold() -> None:
        with locks.held("slow"):
            inside.set()
            assert go_on.wait(60)
            order.append("first")

    def follow() -> None:
        with locks.held("slow"):
            order.append("second")

    threads = [threading.Thread(target=hold)]
    threads[0].start()
    assert inside.wait(60)
    with locks.held("fast"):
        threads.append(threading.Thread(target=follow))
        threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert order == ["first", "second"]
    del threads
    assert not locks._locks
