"""The store's writer is held by another process for a moment: readers are answered all the same, and nothing is lost.

A backup, an administrator's shell or a second studio may hold it. What wants to write waits, or is refused with words
and tried again; the seed decides when the lock is taken, for how long, and how it is given back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest

from tests.faults import hosts
from tests.faults.light_job import STEPS
from tests.faults.world import World, answers, world_in
from tests.services import bound
from workers.account_records import Role, Scope
from workers.accounts import AccountStore, named_account
from workers.database import Database

SECRET = "of a studio that is disturbed"
_SECONDS = 60


class Client:
    """What one visitor's program does: it reads, and launches, over and over."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_SECONDS)
        self._ended = threading.Event()
        self.errors: list[str] = []
        self.reads: list[tuple[float, float]] = []
        self.launched: dict[str, str] = {}

    def read(self) -> None:
        paths = ("/api/v1/runs", "/metrics", "/healthz", "/api/v1/session")
        while not self._ended.is_set():
            for path in paths:
                begun = time.monotonic()
                answer = self._http.get(path)
                self.reads.append((begun, time.monotonic()))
                if answer.status_code != 200:
                    self.errors.append(f"{path}: {answer.status_code} {answer.text}")
            self._ended.wait(0.02)

    def launch(self, name: str, pause: float) -> None:
        """Launch once, with a key, and send the same again for as long as the studio says that it is busy."""
        self._ended.wait(pause)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            answer = self._http.post("/api/v1/experiments", json={}, headers={"Idempotency-Key": name})
            if answer.status_code == 201:
                self.launched[name] = answer.json()["id"]
                return
            if answer.status_code != 503 or "retry-after" not in answer.headers:
                self.errors.append(f"launch {name}: {answer.status_code} {answer.text}")
                return
        self.errors.append(f"launch {name}: not before the deadline")

    @contextmanager
    def at_work(self, pauses: list[float]) -> Iterator[None]:
        launches = [threading.Thread(target=self.launch, args=(f"key-{n}", each)) for n, each in enumerate(pauses)]
        readers = [threading.Thread(target=self.read) for _ in range(3)]
        for thread in launches + readers:
            thread.start()
        try:
            yield
            for thread in launches:
                thread.join()
        finally:
            self._ended.set()
            for thread in launches + readers:
                thread.join()
            self._http.close()


@pytest.mark.parametrize("seed", range(12))
def test_a_writer_that_is_held_by_another_process(tmp_path: Path, seed: int) -> None:
    with world_in(tmp_path, seed) as world:
        url, key = _serve(world)
        runs = world.launch()
        client = Client(url, key)
        lasts = world.random.uniform(0.3, 2.5)
        is_killed = world.random.random() < 0.3
        with client.at_work([world.random.uniform(0, 1.5) for _ in range(3)]):
            world.until_step(world.random.choice(runs), world.random.randint(1, STEPS))
            begun, ended = _hold(world, lasts, is_killed=is_killed)
        assert client.errors == []
        meanwhile = [seconds for seconds in client.reads if begun < seconds[0] and seconds[1] < ended]
        assert meanwhile, "readers were answered while the lock was held"
        # Sent again as often as it takes, a launch makes one experiment.
        assert len(set(client.launched.values())) == 3
        experiments = world.store.experiments()
        assert len(experiments) == 4
        runs = [run.id for each in experiments for run in world.store.runs(each.id)]
        world.until_finished(*runs)
        world.check(*runs)


def _serve(world: World) -> tuple[str, str]:
    """The address of a studio with accounts and a worker, and a key that was last used long ago."""
    with closing(Database.in_file(world.data / "studio.sqlite3")) as database:
        accounts = AccountStore(database)
        _, made = accounts.create_key(named_account(accounts, "ci", Role.ADMIN).id, "ci", list(Scope), None)
    kept = bound(0)
    port = kept.getsockname()[1]
    world.kept.append(kept)
    world.processes.append(hosts.start("serve", world.data, port, secret=SECRET))
    url = f"http://127.0.0.1:{port}"
    world.until(lambda: answers(url), "the server's answer")
    return url, made.text


def _hold(world: World, seconds: float, *, is_killed: bool) -> tuple[float, float]:
    """Hold the writer's lock in a process of its own; from when and until when it was held for certain."""
    process: BaseProcess = hosts.start("hold", world.data, seconds, is_killed=is_killed)
    world.processes.append(process)
    held = world.data / "held"
    world.until(lambda: held.exists(), "the lock", seconds=_SECONDS)
    begun = time.monotonic()
    world.until(lambda: not held.exists() or not process.is_alive(), "the end of the lock", seconds=_SECONDS)
    process.join()
    # The file goes, or the process does, at most a moment after the lock.
    return begun, begun + seconds * 0.9
