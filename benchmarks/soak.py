"""A studio under an hour of mixed use: readers, launches, streams, uploads, idle connections, and one greedy account.

    PYTHONPATH=. python benchmarks/soak.py --minutes 60 --output soak.json

The server is `app.py` in a process of its own, with accounts and a data folder of its own, and its limits are the
defaults. Prints a line each minute and a Markdown table at the end. Fails if a polite caller met an error, or if a job
that was launched did not finish.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import psutil
from _callers import Caller, compute, idle, launch, read, take_everything, upload, watch
from _record import GREEDY, Record, Sample, Tally

from tests.services import bound
from workers.access.identity import Identity
from workers.account_records import Role, Scope, Source
from workers.accounts import AccountStore
from workers.database import Database

_POLITE = {"reader": read, "launcher": launch, "researcher": compute, "uploader": upload}
# Accounts of each kind of polite caller.
_ACCOUNTS = 2
_START_SECONDS = 300
# For what waits when the load ends. Trainings are seconds long, and those of a minute are few.
_DRAIN_SECONDS = 900
_ENDED = {"finished", "failed", "stopped", "interrupted"}


@contextmanager
def studio(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A server until the block ends: its address and its process. Its log is `server.log` in the folder."""
    with closing(bound(0)) as kept:
        port = kept.getsockname()[1]
        settings = {
            "GIFT_PORT": str(port),
            "GIFT_DATA_DIR": str(folder / "data"),
            "GIFT_SECRET": secrets.token_urlsafe(24),
            "GIFT_TRAINING_THREADS": "1",
            "GIFT_DEVICES": "cpu",
            "GIFT_LOG_LEVEL": "warning",
        }
        with (folder / "server.log").open("w") as log:
            program = Path(__file__).parent.parent / "app.py"
            process = subprocess.Popen(
                [sys.executable, str(program)], env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
            )
            url = f"http://127.0.0.1:{port}"
            try:
                _wait_until_up(process, url)
                yield url, psutil.Process(process.pid)
            finally:
                process.terminate()
                process.wait(60)


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has ended: see its log"
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthz", timeout=5, trust_env=False).is_success:
                return
        time.sleep(0.5)
    raise AssertionError("the server does not answer")


def accounts_of(data: Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Make an account for each name; return its key and a session."""
    with closing(Database.in_file(data / "studio.sqlite3")) as database:
        store, made = AccountStore(database), {}
        for name in names:
            account = store.ensure(Source.KEY, name, name, Role.OWNER)
            _, key = store.create_key(account.id, "soak", (Scope.READ, Scope.LAUNCH, Scope.MANAGE), None)
            made[name] = key.text, store.sessions.open(Identity(account), 24 * 3600)
        return made


async def soak(
    url: str, server: psutil.Process, folder: Path, record: Record, chosen: argparse.Namespace
) -> dict[str, str]:
    """Let all callers loose for the time that was chosen, and return how each job that a polite one launched ended."""
    ending = asyncio.Event()
    names = [f"{kind} {number}" for kind in _POLITE for number in range(_ACCOUNTS)]
    made = accounts_of(folder / "data", [*names, "watcher", GREEDY])
    callers = {name: Caller(name, url, key, session, record, ending) for name, (key, session) in made.items()}
    tasks = [asyncio.create_task(_POLITE[name.rpartition(" ")[0]](callers[name])) for name in names]
    tasks += [asyncio.create_task(watch(callers["watcher"])) for _ in range(chosen.streams)]
    tasks += [asyncio.create_task(idle(url, record, ending)) for _ in range(chosen.idle)]
    tasks.append(asyncio.create_task(take_everything(callers[GREEDY])))
    await _report_each_minute(server, record, chosen.minutes)
    ending.set()
    await asyncio.gather(*tasks)
    await _stop_all_of(callers[GREEDY])
    return await _ends_of([callers[name] for name in names])


async def _report_each_minute(server: psutil.Process, record: Record, minutes: float) -> None:
    began = time.monotonic()
    # Of a short trial, three.
    interval = min(60.0, minutes * 20)
    for number in range(1, round(minutes * 60 / interval) + 1):
        await asyncio.sleep(max(0.0, began + number * interval - time.monotonic()))
        record.samples.append(Sample.of(server, (time.monotonic() - began) / 60))
        print(_line(record), flush=True)


def _line(record: Record) -> str:
    sample, polite = record.samples[-1], record.by_kind(of_greedy=False)
    lists, tallies = polite.get("list", Tally()), polite.values()
    return (
        f"{sample.minute:5.1f} min: {sum(each.requests for each in tallies):,} requests, "
        f"{sum(each.errors.total() for each in tallies)} errors, "
        f"{sum(each.refused.total() for each in tallies)} refused; "
        f"lists p50 {1000 * lists.percentile(50):.0f} ms, p99 {1000 * lists.percentile(99):.0f} ms; "
        f"greedy {sum(each.requests for each in record.by_kind(of_greedy=True).values()):,}; "
        f"{sample.rss_mb:.0f} MB, {sample.descriptors} descriptors, {sample.threads} threads"
    )


async def _stop_all_of(caller: Caller) -> None:
    """Take the waiting jobs of an account off the queue."""
    headers = {"Authorization": f"Bearer {caller.key}"}
    async with caller.client() as http:
        # Within the minute nothing more may be asked for.
        await asyncio.sleep(60)
        own: dict[str, Any] = {
            "state": ["queued", "running"],
            "created_by": f"{Source.KEY}:{caller.name}",
            "limit": 100,
        }
        for job in (await http.get("/api/v1/jobs", params=own, headers=headers)).json()["items"]:
            await http.post(f"/api/v1/jobs/{job['id']}/stop", headers=headers)
            await asyncio.sleep(1)


async def _ends_of(callers: Sequence[Caller]) -> dict[str, str]:
    """The state of each job, once all have ended or the patience is over; "lost" if the studio does not know it."""
    deadline, states = time.monotonic() + _DRAIN_SECONDS, dict[str, str]()
    for caller in callers:
        async with caller.client() as http:
            for job in caller.jobs:
                while states.get(job) not in _ENDED | {"lost"} and time.monotonic() < deadline:
                    headers = {"Authorization": f"Bearer {caller.key}"}
                    answer = await http.get(f"/api/v1/jobs/{job}", headers=headers)
                    if answer.is_success or answer.status_code == 404:
                        states[job] = answer.json()["state"] if answer.is_success else "lost"
                    if states.get(job) not in _ENDED | {"lost"}:
                        await asyncio.sleep(2)
    return states


def document_of(record: Record, ends: dict[str, str], minutes: float) -> dict[str, Any]:
    """Return everything that was measured, as JSON holds it."""
    first, last = record.samples[0], record.samples[-1]
    return {
        "minutes": minutes,
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "polite": {kind: _row(tally) for kind, tally in record.by_kind(of_greedy=False).items()},
        "greedy": {kind: _row(tally) for kind, tally in record.by_kind(of_greedy=True).items()},
        "server": [asdict(sample) for sample in record.samples],
        "growth": {
            "rss_mb": last.rss_mb - first.rss_mb,
            "descriptors": last.descriptors - first.descriptors,
            "threads": last.threads - first.threads,
        },
        "counts": dict(record.counts),
        "jobs": {state: list(ends.values()).count(state) for state in sorted(set(ends.values()))},
    }


def _row(tally: Tally) -> dict[str, Any]:
    return {
        "requests": tally.requests,
        "errors": dict(tally.errors),
        "refused": dict(tally.refused),
        "p50_ms": round(1000 * tally.percentile(50), 1),
        "p99_ms": round(1000 * tally.percentile(99), 1),
        "longest_ms": round(1000 * max(tally.seconds, default=0.0), 1),
    }


def print_markdown(found: dict[str, Any]) -> None:
    """Print the tables for docs/results.md."""
    print(f"\n{found['minutes']:g} minutes, {found['machine']}\n")
    print("| who | kind | requests | errors | refused (429 / 409 / 503) | p50 | p99 | longest |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for who in ("polite", "greedy"):
        for kind, row in found[who].items():
            errors = ", ".join(f"{count} {name}" for name, count in row["errors"].items()) or "0"
            refused = " / ".join(f"{row['refused'].get(status, 0):,}" for status in ("429", "409", "503"))
            times = " | ".join(f"{row[name]:,.0f} ms" for name in ("p50_ms", "p99_ms", "longest_ms"))
            print(f"| {who} | {kind} | {row['requests']:,} | {errors} | {refused} | {times} |")
    first, last = found["server"][0], found["server"][-1]
    print("\n| the server | first minute | end | growth |\n| --- | --- | --- | --- |")
    for name, title in (("rss_mb", "memory (MB)"), ("descriptors", "descriptors"), ("threads", "threads")):
        print(f"| {title} | {first[name]:.0f} | {last[name]:.0f} | {found['growth'][name]:+.0f} |")
    print(f"\njobs of polite callers: {found['jobs']}; {found['counts']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--idle", type=int, default=200, help="connections on which nothing is sent")
    parser.add_argument("--streams", type=int, default=20, help="streams of events that are open all the time")
    parser.add_argument("--output", type=Path, help="where the numbers go as JSON")
    chosen = parser.parse_args()
    record = Record()
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as (url, server):
        ends = asyncio.run(soak(url, server, Path(folder), record, chosen))
    found = document_of(record, ends, chosen.minutes)
    if chosen.output:
        chosen.output.write_text(json.dumps(found, indent=2) + "\n")
    print_markdown(found)
    broken = sum(sum(row["errors"].values()) for row in found["polite"].values())
    unfinished = sum(count for state, count in found["jobs"].items() if state != "finished")
    if broken or unfinished:
        sys.exit(f"{broken} requests of polite callers met an error, {unfinished} of their jobs did not finish.")


if __name__ == "__main__":
    main()
