"""One account asks for as much as it can; what others ask for meanwhile is admitted, and ends as if it were alone.

The seed decides when the others ask, and how many of the greedy account's requests are under way by then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.api.secured import SECRET, key_of, person
from tests.faults import hosts
from tests.faults.test_faults import trials
from tests.faults.world import World, answers, world_in
from tests.services import bound
from workers.account_records import Role
from workers.accounts import AccountStore

ALONE = {"run": {"data": {"source": {"kind": "task", "examples": 4}, "held_out": 2}}, "methods": ["sft"]}
# Enough for a report that takes longer than the pause between two requests.
GREAT = {"run": {"data": {"source": {"kind": "task", "task": "countdown", "examples": 500}}}}
# Four requests of one account compute at a time, and two more are refused.
_GREEDY_THREADS = 6
_PAUSE_SECONDS = 0.05
# A machine that does much else at the same time.
_PATIENCE_SECONDS = 90


@dataclass
class Site:
    """A studio with accounts, whose callers ask from threads of their own."""

    world: World
    http: httpx.Client
    pool: ThreadPoolExecutor

    def account(self, name: str, role: Role = Role.OWNER) -> dict[str, str]:
        accounts = AccountStore(self.world.store.database)
        return key_of(accounts, person(accounts, name, role))

    def ask(self, key: dict[str, str], path: str, body: Any) -> httpx.Response:
        return self.http.post(path, json=body, headers=key)

    def ask_often(self, key: dict[str, str], path: str, bodies: list[Any]) -> list[Future[httpx.Response]]:
        return [self.pool.submit(self.ask, key, path, body) for body in bodies]

    def until_some_are_done(self, asked: list[Future[httpx.Response]], count: int) -> None:
        self.world.until(lambda: sum(each.done() for each in asked) >= count, "answers", _PATIENCE_SECONDS)


@contextmanager
def site_in(data: Path, seed: int) -> Iterator[Site]:
    with world_in(data, seed) as world, closing(bound(0)) as kept:
        port = kept.getsockname()[1]
        world.processes.append(hosts.start("serve", data, port, secret=SECRET, side_slots=8))
        address = f"http://127.0.0.1:{port}"
        world.until(lambda: answers(address), "the server's answer", _PATIENCE_SECONDS)
        many = httpx.Limits(max_connections=None)
        with (
            httpx.Client(base_url=f"{address}/api/v1", timeout=_PATIENCE_SECONDS, limits=many) as http,
            ThreadPoolExecutor(12) as pool,
        ):
            yield Site(world, http, pool)


def responses(name: str, count: int) -> list[dict[str, Any]]:
    return [{"checkpoint": "tiny", "prompts": [f"{name} {number}"]} for number in range(count)]


@trials(9)
def test_many_jobs_of_one_account(tmp_path: Path, seed: int) -> None:
    """They wait until the worker may begin. Each job that was admitted ends once, or is withdrawn while it waits."""
    with site_in(tmp_path, seed) as site:
        world, greedy = site.world, site.account("greedy")
        world.store.set_paused(True, "test")
        asked = site.ask_often(greedy, "/responses", responses("greedy", 36))
        site.until_some_are_done(asked, world.random.randint(0, 36))
        others = [("other", Role.OWNER), ("admin", Role.ADMIN)]
        found = [
            site.ask(site.account(name, role), "/responses", body)
            for name, role in others
            for body in responses(name, world.random.randint(1, 3))
        ]
        assert [answer.status_code for answer in found] == [202] * len(found)
        of_greedy = [each.result() for each in asked]
        assert sorted(answer.status_code for answer in of_greedy) == [202] * 32 + [409] * 4
        admitted = [answer.json()["id"] for answer in of_greedy if answer.status_code == 202]
        # Each job is a process, and a few of one account are enough to see that they end.
        kept, withdrawn = admitted[:3], admitted[3:]
        ids = [*(answer.json()["id"] for answer in found), *kept]
        assert len({*ids, *withdrawn}) == len(ids) + len(withdrawn)
        for job_id in withdrawn:
            world.store.request_stop(job_id, by="test")
        world.store.set_paused(False, "test")
        world.until_finished(*ids)
        world.check(*ids)
        assert {(world.job(job_id).state, world.job(job_id).attempt) for job_id in withdrawn} == {("stopped", 0)}


@trials(9)
def test_many_preflights_of_one_account(tmp_path: Path, seed: int) -> None:
    """It goes on asking until the others' jobs have ended."""
    with site_in(tmp_path, seed) as site:
        world, greedy, enough = site.world, site.account("greedy"), threading.Event()

        def insist() -> set[int]:
            statuses = set()
            while not enough.wait(_PAUSE_SECONDS):
                statuses.add(site.ask(greedy, "/preflights", GREAT).status_code)
            return statuses

        begun = [site.pool.submit(insist) for _ in range(_GREEDY_THREADS)]
        enough.wait(world.random.random() / 2)
        runs = []
        for name in ("first", "second"):
            key = site.account(name)
            looked = site.ask(key, "/preflights", ALONE)
            assert (looked.status_code, looked.json()["ok"]) == (200, True)
            launched = site.ask(key, "/experiments", ALONE)
            assert launched.status_code == 201
            runs += [run["id"] for run in launched.json()["runs"]]
        world.until_finished(*runs)
        enough.set()
        # Four at a time are its own share.
        assert set().union(*(each.result() for each in begun)) <= {200, 429}
        world.check(*runs)
