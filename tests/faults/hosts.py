"""Processes of a studio: a worker, or a web server with one."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvicorn

from api.app import create_api
from tests import forked
from tests.faults import unprivileged
from workers import accounts
from workers.database import Database
from workers.devices import Device, DevicePool
from workers.health.gate import Gate
from workers.health.probe import Probe
from workers.leftovers import clear_leftovers
from workers.queue import JobQueue
from workers.readiness import check_store
from workers.reaper import Reaper
from workers.records import Job
from workers.settings import Settings, job_environment
from workers.sharing import Sharing
from workers.store import JobStore
from workers.studio import Studio
from workers.supervisor import Patience, Supervisor
from workers.worker import Worker

LEASE_SECONDS = 0.6
# For trials in which nobody is to be given up, however long the machine stands still.
LONG_LEASE_SECONDS = 60.0
# After a fault of the machine.
_FIRST_PAUSE_SECONDS = 0.1
_LIGHT_JOB = Path(__file__).with_name("light_job.py")


@dataclass(frozen=True)
class Seam:
    """A place between two things that a worker does: before or after the `call`th time of one of them.

    `operation` is `store.` or `supervisor.` and the name of a method; there the process sends itself `number`.
    """

    operation: str
    after: bool
    call: int
    number: signal.Signals

    def __str__(self) -> str:
        return f"{self.number.name} {'after' if self.after else 'before'} {self.operation} {self.call}"


def start(target: str, *arguments: object, **options: object) -> BaseProcess:
    """Run one of this module's functions in a process of its own, which leads a group of its own."""
    return forked.start(_run, target, arguments, options)


def _run(target: str, arguments: tuple[object, ...], options: Mapping[str, object]) -> None:
    os.setsid()
    globals()[target](*arguments, **options)


def work(
    data: Path,
    urls: Mapping[str, str],
    clock_runs_ahead: float = 0.0,
    seam: Seam | None = None,
    lease_seconds: float = LEASE_SECONDS,
    reaper_seconds: float | None = None,
    obeys_permissions: bool = False,
) -> None:
    """A worker on its own, until SIGTERM. The time of day may be another one here, from the start or after SIGUSR2.

    `reaper_seconds`: for how long others may be silent, where that is not its own jobs' lease. One that
    `obeys_permissions` may write what its user may, also where that is root.
    """
    if obeys_permissions:
        unprivileged.obey_permissions()
    ended = threading.Event()
    real = time.time

    def jump(*_: object) -> None:
        time.time = lambda: real() + 3600

    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGUSR2, jump)
    time.time = lambda: real() + clock_runs_ahead
    store = open_store(data, urls)
    supervisor = light_supervisor(store, data, lease_seconds)
    queue = open_queue(data, urls)
    if seam is not None:
        _break_at(seam, _Writing(store, queue), {"store": store, "supervisor": supervisor})
    # As every worker does when it begins.
    clear_leftovers(data, store.database)
    worker = light_worker(store, queue, supervisor, reaper_seconds or lease_seconds)
    worker.start()
    ended.wait()
    worker.stop()
    store.close()


def train(data: Path) -> None:
    """A worker that really trains, until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    settings = Settings(data_dir=data, devices="cpu", training_threads=1, lease_seconds=LONG_LEASE_SECONDS)
    studio = Studio(settings)
    worker = studio.worker()
    worker.start()
    ended.wait()
    worker.stop()
    studio.close()


def serve(data: Path, port: int, secret: str | None = None, side_slots: int = 0) -> None:
    """The backend with its embedded worker, until SIGTERM; with accounts if there is a `secret`."""
    often = 1_000_000
    settings = {"requests_per_minute": often, "changes_per_minute": often} if secret else {}
    studio = Studio(Settings(data_dir=data, recorded_example=False, secret=secret, **settings))
    # Each request has a use to note, as if its key had not been used for long.
    accounts.LAST_USED_SECONDS = 0.0
    # What a launch is checked for takes an import of torch, and is not what is tried here.
    studio.check = lambda _: None
    app = create_api(studio, events_interval=0.05)
    worker = light_worker(studio.store, studio.queue, light_supervisor(studio.store, data), side_slots=side_slots)
    worker.start()
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        worker.stop()
        studio.close()


def hold(data: Path, seconds: float, *, is_killed: bool) -> None:
    """Hold the lock of the store's writers for so long; the file `held` is there meanwhile. It may end by SIGKILL."""
    held = data / "held"
    with closing(sqlite3.connect(data / "studio.sqlite3", timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        held.touch()
        time.sleep(seconds)  # How long it is held is what is tried.
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        connection.execute("ROLLBACK")
    held.unlink()


def open_store(data: Path, urls: Mapping[str, str]) -> JobStore:
    return JobStore(Database(urls["store"]) if "store" in urls else Database.in_file(data / "studio.sqlite3"))


def open_queue(data: Path, urls: Mapping[str, str]) -> JobQueue:
    return JobQueue(urls.get("queue") or data / "queue.sqlite3")


def light_supervisor(store: JobStore, data: Path, lease_seconds: float = LEASE_SECONDS) -> Supervisor:
    """A supervisor like any other, of jobs that are light."""
    patience = Patience(lease_seconds, 5.0)
    probe = Probe(data, servers={"store": lambda: check_store(store.database)})
    gate = Gate(probe, pause=_FIRST_PAUSE_SECONDS)
    return Supervisor(store, Sharing(data, None), _light_command, lambda _: job_environment(1), patience, gate)


class _Watchful(Reaper):
    """Looks several times in a trial, whatever the lease is."""

    interval = LEASE_SECONDS / 5


def light_worker(
    store: JobStore,
    queue: JobQueue,
    supervisor: Supervisor,
    lease_seconds: float = LEASE_SECONDS,
    side_slots: int = 0,
) -> Worker:
    """A worker like any other, for two jobs at once."""
    devices = [Device(name=f"cuda:{number}", title="stands in", memory=1) for number in range(2)]
    reaper = _Watchful(store, lease_seconds)
    return Worker(store, queue, supervisor, DevicePool(devices, side_slots), reaper, look_seconds=0.05)


def _light_command(directory: Path, job: Job) -> list[str]:
    return [sys.executable, "-I", "-S", str(_LIGHT_JOB), str(directory), str(job.attempt)]


class _Writing:
    """What writes to the store or the queue here. A process that stood still in the middle of a write to SQLite would
    keep the file's lock, and nobody could go on; PostgreSQL cuts such a process off."""

    def __init__(self, store: JobStore, queue: JobQueue) -> None:
        self._store, self._queue = threading.Lock(), queue._huey.storage.lock
        write = store._write

        @contextmanager
        def alone() -> Iterator[Any]:
            with self._store, write() as session:
                yield session

        store._write = alone

    def signal_between(self, number: signal.Signals) -> None:
        with self._store, self._queue:
            # To this thread: it would run on for a while if another one had to take the signal.
            signal.pthread_kill(threading.get_ident(), number)


def _break_at(seam: Seam, writing: _Writing, parts: Mapping[str, Any]) -> None:
    part, _, name = seam.operation.partition(".")
    whole: Callable[..., Any] = getattr(parts[part], name)
    calls = 0

    def broken(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if not seam.after:
            calls += 1
            if calls == seam.call:
                writing.signal_between(seam.number)
        answer = whole(*arguments, **options)
        # A worker that finds nothing to claim has claimed nothing.
        if seam.after and not (name == "claim" and answer is None):
            calls += 1
            if calls == seam.call:
                writing.signal_between(seam.number)
        return answer

    setattr(parts[part], name, broken)
