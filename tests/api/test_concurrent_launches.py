"""Many launch at once, and again when there is no answer, while the server is killed: each launch is there once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest

from gift_core.spec import ExperimentSpec
from tests.server_process import ServerProcess, server_process
from ui.client import StudioClient
from ui.commands.connection import persistently
from ui.connection import StudioError
from workers.database import Database
from workers.records import Job
from workers.store import JobStore

CLIENTS, LAUNCHES, DISTINCT = 8, 50, 40
# The server is killed when so many launches have been answered.
KILLS = (12, 30)


def spec_of(number: int) -> ExperimentSpec:
    """A spec of two runs that no other number has."""
    data = {"source": {"kind": "task", "task": "countdown", "examples": 4}, "held_out": 2}
    return ExperimentSpec.parse({"name": f"No. {number}", "seeds": [number], "run": {"data": data}})


@dataclass
class Launches:
    """What the clients do, and what came of it."""

    url: str
    asked: int = 0
    unanswered: int = 0
    answered: list[tuple[int, str]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def carry_out(self, numbers: Sequence[int]) -> None:
        """One client's launches, one after the other."""
        with StudioClient(self.url) as client:
            for number in numbers:
                launch = partial(self._launch, client, number)
                created = persistently(launch, repeat(0.05, 1000), was_there=True)
                with self._news:
                    self.answered.append((number, created))
                    self._news.notify_all()

    def _launch(self, client: StudioClient, number: int) -> str:
        with self._news:
            self.asked += 1
        try:
            return client.create_experiment(spec_of(number), f"launch {number}").id
        except StudioError as error:
            with self._news:
                self.unanswered += error.status == 0
            raise

    def wait_for(self, answers: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.answered) >= answers, timeout=60)


def shares() -> list[list[int]]:
    """The launches of each client: ten of the distinct ones come from two of them, at about the same time."""
    numbers = sorted(number % DISTINCT for number in range(LAUNCHES))
    return [numbers[client::CLIENTS] for client in range(CLIENTS)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with server_process(tmp_path) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path, server: ServerProcess) -> Iterator[JobStore]:
    store = JobStore(Database.in_file(tmp_path / "studio.sqlite3"))
    yield store
    store.close()


def test_fifty_launches_by_eight_clients_exist_once_each_though_the_server_is_killed_twice(server, store):
    launches = Launches(server.url)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(launches.carry_out, numbers) for numbers in shares()]
        for answers in KILLS:
            launches.wait_for(answers)
            server.kill()
            server.start()
        for client in clients:
            client.result()

    assert launches.unanswered > 0, "the server was never missed: nothing was tried"
    assert launches.asked == LAUNCHES + launches.unanswered
    assert Counter(number for number, _ in launches.answered) == Counter(n for share in shares() for n in share)

    experiments = store.experiments(limit=1000)
    assert len(experiments) == DISTINCT
    assert {(experiment.name, experiment.id) for experiment in experiments} == {
        (spec_of(number).name, identity) for number, identity in launches.answered
    }
    for experiment in experiments:
        expected = [run.model_dump(mode="json") for _, run in ExperimentSpec.parse(experiment.spec).expand()]
        assert [run.spec for run in store.runs(experiment.id)] == expected

    runs = [run.id for experiment in experiments for run in store.runs(experiment.id)]
    assert sorted(job.id for job in store.jobs(limit=None)) == sorted(runs)
    assert [change.after for change in store.transitions()] == ["queued"] * len(runs)
    assert sorted(run.id for run in taken(store)) == sorted(runs)


def taken(store: JobStore) -> Iterator[Job]:
    """What workers are given until nothing waits, whatever became of the messages that should wake them."""
    while store.waiting(1):
        job = store.claim("worker", "host", lambda waiting, _: waiting[0])
        assert job is not None
        yield job
