"""How long an event takes from the store to 200 pages that watch one run, and what they cost while nothing happens.

    PYTHONPATH=. python benchmarks/event_watchers.py --watchers 200 --seconds 20

Three processes, as in a studio: a web server; the watchers, each with an HTTP stream of its own; and this one, which
writes to the store what a supervisor writes, one metric point at a time. A delay lasts from before the write until a
watcher has read the line with the point, on a clock that all processes share. One watcher and many take turns, so that
what else the machine does slows both. Fails where a watcher misses a point, has one twice or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import psutil
from _common import print_table

from gift_core.spec import ExperimentSpec
from tests.server_process import ServerProcess, server_process
from workers.database import Database
from workers.metrics import MetricLine
from workers.store import JobStore

_PATIENCE_SECONDS = 60
_SPAWNED = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Measured:
    """Delays of all points at all watchers in seconds, and what the server took: CPU seconds a minute, bytes of RAM."""

    delays: list[float]
    idle: float
    busy: float
    resident: int


class Run:
    """The run that is watched, and its supervisor's reports."""

    def __init__(self, data: Path) -> None:
        self._store = JobStore(Database.in_file(data / "studio.sqlite3"))
        self._store.create_experiment(ExperimentSpec(), None)
        taken = self._store.claim("benchmark", "host", lambda waiting, _: waiting[0])
        assert taken is not None
        self.id, self._owner = taken.id, taken.owner or ""
        self.steps = 0

    def report(self, points: int, a_second: float) -> None:
        """So many points, at an even pace."""
        began = time.monotonic()
        for number in range(points):
            time.sleep(max(0.0, began + number / a_second - time.monotonic()))
            self.steps += 1
            values = {"loss": 1 / self.steps, "written": time.monotonic()}
            line = MetricLine(number=self.steps, step=self.steps, time=time.time(), phase="training", values=values)
            assert self._store.beat(self.id, self._owner, [line])

    def close(self) -> None:
        self._store.close()


def watch(url: str, run: str, watchers: int, had: int, points: int, parent: Connection) -> None:
    """The watchers' process: says when all have caught up with the `had` points before, then gives their delays."""
    parent.send(asyncio.run(_watch_all(url, run, watchers, had, points, parent)))


async def _watch_all(url: str, run: str, watchers: int, had: int, points: int, parent: Connection) -> list[float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_SECONDS, limits=limits, trust_env=False) as client:
        ready = asyncio.Semaphore(0)
        watching = [asyncio.create_task(_watch(client, run, had, points, ready)) for _ in range(watchers)]
        for _ in watching:
            await asyncio.wait_for(ready.acquire(), _PATIENCE_SECONDS)
        parent.send("ready")
        return [delay for delays in await asyncio.gather(*watching) for delay in delays]


async def _watch(client: httpx.AsyncClient, run: str, had: int, points: int, ready: asyncio.Semaphore) -> list[float]:
    delays: list[float] = []
    steps, is_ready = 0, False
    async with client.stream("GET", "/api/v1/events", params={"topic": f"job:{run}"}) as response:
        response.raise_for_status()
        async for name, data in _events(response):
            read = time.monotonic()
            if name == "metrics":
                for point in json.loads(data)["points"]:
                    steps += 1
                    assert point["step"] == steps, f"step {point['step']} came where {steps} should have"
                    if steps > had:
                        delays.append(read - point["values"]["written"])
            if not is_ready and steps == had:
                is_ready = True
                ready.release()
            if len(delays) >= points:
                return delays
    raise AssertionError("the stream ended")


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, value


def measure(server: ServerProcess, run: Run, watchers: int, seconds: float, a_second: float) -> Measured:
    """`seconds` in which nothing happens, and `seconds` in which `a_second` points are reported."""
    points = round(seconds * a_second)
    ours, theirs = _SPAWNED.Pipe()
    child = _SPAWNED.Process(target=watch, args=(server.url, run.id, watchers, run.steps, points, theirs), daemon=True)
    child.start()
    theirs.close()
    assert ours.recv() == "ready"
    process = psutil.Process(server.pid)
    began = _cpu(process)
    time.sleep(seconds)
    quiet = _cpu(process)
    run.report(points, a_second)
    busy = _cpu(process)
    resident = process.memory_info().rss
    delays: list[float] = ours.recv()
    child.join()
    assert len(delays) == watchers * points
    return Measured(delays, (quiet - began) * 60 / seconds, (busy - quiet) * 60 / seconds, resident)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def show(one: Sequence[Measured], many: Sequence[Measured], watchers: int) -> None:
    rows = []
    for name, unit, number in (
        ("delay, median", "ms", lambda found: _percentile(found, 50)),
        ("delay, 99th percentile", "ms", lambda found: _percentile(found, 99)),
        ("delay, longest", "ms", lambda found: 1000 * max(_delays(found))),
        ("server, nothing happens", "CPU s a minute", lambda found: statistics.median(each.idle for each in found)),
        ("server, points come", "CPU s a minute", lambda found: statistics.median(each.busy for each in found)),
    ):
        first, second = number(one), number(many)
        rows.append((name, unit, f"{first:.2f}", f"{second:.2f}", f"{second / first:.1f}"))
    print_table(("", "", "1 watcher", f"{watchers} watchers", "ratio"), rows)
    growth = max(each.resident for each in many) - min(each.resident for each in one)
    print(f"{growth / (watchers - 1) / 1000:.0f} kB of the server's memory for each watcher")
    # `measure` has counted them, and each watcher their order.
    print(f"{len(_delays(many)):,} points came to the {watchers} watchers: every one, once, in order")


def _delays(measured: Sequence[Measured]) -> list[float]:
    return [delay for each in measured for delay in each.delays]


def _percentile(measured: Sequence[Measured], which: int) -> float:
    """In milliseconds."""
    return 1000 * statistics.quantiles(_delays(measured), n=100, method="inclusive")[which - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of silence, and of points, in each round")
    parser.add_argument("--points", type=float, default=1, help="a second; a supervisor writes at most one")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, load {load:.1f} before the start")
    print(f"{chosen.rounds} rounds of {chosen.seconds:g} s without and with {chosen.points:g} points a second")
    one: list[Measured] = []
    many: list[Measured] = []
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(server_process(data))
        run = stack.enter_context(closing(Run(data)))
        for _ in range(chosen.rounds):
            for watchers, found in ((1, one), (chosen.watchers, many)):
                found.append(measure(server, run, watchers, chosen.seconds, chosen.points))
    show(one, many, chosen.watchers)


if __name__ == "__main__":
    main()
