"""The callers of the soak: what each asks for, and how often."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from _record import Record

# A training of seconds, most of which its process takes to start.
TRAINING = {
    "data": {"source": {"kind": "task", "examples": 16}, "held_out": 2},
    "training": {"epochs": 1, "batch_size": 16},
}
_GREAT = {"data": {"source": {"kind": "task", "task": "algebra", "examples": 100_000}}}
_TEXT = {"checkpoints": ["tiny"], "prompt": "1+1?", "response": "2"}
_READS = ("/api/v1/runs", "/api/v1/jobs", "/api/v1/queue", "/api/v1/experiments", "/api/v1/datasets", "/api/v1/models")
_PAGES = ("/", "/runs", "/queue", "/healthz")
_ROWS = 2000
_GREEDY_PAUSE_SECONDS = 0.05


@dataclass
class Caller:
    """One account with its key and its browser's session. `jobs` are those that it has launched."""

    name: str
    url: str
    key: str
    session: str
    record: Record
    ending: asyncio.Event
    jobs: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        # A connection is never used in the moment in which the server closes it, after five seconds.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1)
        return httpx.AsyncClient(base_url=self.url, timeout=120, limits=limits, trust_env=False)

    async def ask(
        self, http: httpx.AsyncClient, kind: str, method: str, path: str, **given: Any
    ) -> httpx.Response | None:
        """Send a request, and note how it ended and how long it took; None if there was no answer."""
        is_page = not path.startswith("/api/")
        headers = {"Cookie": f"gift_session={self.session}"} if is_page else {"Authorization": f"Bearer {self.key}"}
        answer: httpx.Response | None = None
        with self.record.timed(self.name, kind) as ended:
            answer = await http.request(method, path, headers=headers, **given)
            ended(answer)
        return answer

    async def every(self, seconds: float, work: Callable[[int], Awaitable[object]]) -> None:
        """Work at this pace, but never twice at once, until the soak ends. Callers do not keep in step."""
        chance = random.Random(f"{self.name} {seconds}")
        for number in itertools.count():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ending.wait(), seconds * chance.uniform(0.5, 1.5))
            if self.ending.is_set():
                return
            await work(number)


async def read(caller: Caller) -> None:
    """Look at lists, single runs and pages, twice a second."""
    async with caller.client() as http:

        async def look(number: int) -> None:
            answer = await caller.ask(http, "list", "GET", _READS[number % len(_READS)])
            runs = answer.json()["items"] if answer and answer.is_success and number % len(_READS) == 0 else []
            for run in runs[:1]:
                await caller.ask(http, "run", "GET", f"/api/v1/runs/{run['id']}")
            if number % 4 == 0:
                await caller.ask(http, "page", "GET", _PAGES[number // 4 % len(_PAGES)])

        await caller.every(1, look)


async def launch(caller: Caller) -> None:
    """Launch a tiny training now and then, and a batch of responses."""
    async with caller.client() as http:

        async def begin(number: int) -> None:
            body = {"name": f"soak {number}", "run": TRAINING, "methods": ["sft"], "seeds": [number]}
            answer = await caller.ask(http, "launch", "POST", "/api/v1/experiments", json=body)
            if answer and answer.status_code == 201:
                caller.jobs += [run["id"] for run in answer.json()["runs"]]
            order = {"checkpoint": "tiny", "prompts": [f"{caller.name} {number}"], "sampling": {"steps": 4}}
            answer = await caller.ask(http, "responses", "POST", "/api/v1/responses", json=order)
            if answer and answer.status_code == 202:
                caller.jobs.append(answer.json()["id"])

        await caller.every(60, begin)


async def compute(caller: Caller) -> None:
    """Inspect a text, ask what an experiment would take, and denoise a prompt."""
    async with caller.client() as http:

        async def one(number: int) -> None:
            await caller.ask(http, "inspection", "POST", "/api/v1/inspections", json=_TEXT)
            await caller.ask(http, "preflight", "POST", "/api/v1/preflights", json={"run": TRAINING})
            if number % 5 == 0:
                order = {"checkpoints": ["tiny"], "prompt": "2+2?", "sampling": {"steps": 8}, "seed": number}
                await caller.ask(http, "trace", "POST", "/api/v1/traces", json=order)

        await caller.every(4, one)


async def upload(caller: Caller) -> None:
    """Upload a data set, and delete it again."""
    async with caller.client() as http:

        async def one(number: int) -> None:
            rows = "".join(
                f'{{"prompt": "{caller.name} {number} {row}", "response": "{row}"}}\n' for row in range(_ROWS)
            )
            name = f"{caller.name}-{number}.jsonl"
            answer = await caller.ask(http, "upload", "POST", f"/api/v1/datasets?name={name}", content=rows)
            if answer and answer.status_code == 201:
                await caller.ask(http, "delete", "DELETE", f"/api/v1/datasets/{answer.json()['id']}")

        await caller.every(15, one)


async def watch(caller: Caller) -> None:
    """Hold a stream of events, and open it anew when it ends."""
    topic = {"topic": "queue"}
    headers = {"Authorization": f"Bearer {caller.key}"}
    async with caller.client() as http:
        while not caller.ending.is_set():
            with caller.record.timed(caller.name, "stream") as ended:
                async with http.stream("GET", "/api/v1/events", params=topic, headers=headers) as answer:
                    ended(answer)
                    async for _ in _until(caller.ending, answer.aiter_lines()):
                        caller.record.count("lines of streams")
            with suppress(TimeoutError):
                await asyncio.wait_for(caller.ending.wait(), 1)


async def idle(url: str, record: Record, ending: asyncio.Event) -> None:
    """Hold a connection on which nothing is sent, and open it anew when the server closes it."""
    target = httpx.URL(url)
    while not ending.is_set():
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            async for _ in _until(ending, reader):
                pass
            if not ending.is_set():
                record.count("idle connections closed by the server")
            writer.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), 1)


async def take_everything(caller: Caller) -> None:
    """Ask for as much of everything as one account can, without a pause and whatever the answers are."""
    jobs = itertools.count()
    rows = "".join(f'{{"prompt": "{row}", "response": "{"x" * 200}"}}\n' for row in range(20_000))

    def responses() -> dict[str, Any]:
        return {"json": {"checkpoint": "tiny", "prompts": [f"greedy {next(jobs)}"], "sampling": {"steps": 4}}}

    def examined() -> dict[str, Any]:
        return {"json": {"checkpoints": ["tiny"], "run": TRAINING, "seed": next(jobs)}}

    wanted: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [
        *[("preflight", "/api/v1/preflights", lambda: {"json": {"run": _GREAT}})] * 4,
        *[("inspection", "/api/v1/inspections", lambda: {"json": _TEXT | {"response": "1 2 3 4 " * 60}})] * 4,
        ("responses", "/api/v1/responses", responses),
        ("look at data", "/api/v1/dataset-inspections", examined),
        ("upload", "/api/v1/datasets?name=greedy.jsonl", lambda: {"content": rows}),
    ]
    async with caller.client() as http:

        async def insist(kind: str, path: str, body: Callable[[], dict[str, Any]]) -> None:
            while not caller.ending.is_set():
                await caller.ask(http, kind, "POST", path, **body())
                await asyncio.sleep(_GREEDY_PAUSE_SECONDS)

        async def look() -> None:
            while not caller.ending.is_set():
                await caller.ask(http, "list", "GET", "/api/v1/jobs")
                await asyncio.sleep(_GREEDY_PAUSE_SECONDS)

        await asyncio.gather(*(insist(*each) for each in wanted), *(look() for _ in range(4)))


async def _until(ending: asyncio.Event, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield items until there are no more, or the soak ends."""
    end = asyncio.ensure_future(ending.wait())
    try:
        while True:
            item = asyncio.ensure_future(anext(items))
            await asyncio.wait({item, end}, return_when=asyncio.FIRST_COMPLETED)
            if not item.done():
                item.cancel()
                return
            try:
                yield item.result()
            except StopAsyncIteration:
                return
    finally:
        end.cancel()
