"""Webhooks: signed; again until they are taken; and never to where they may not go."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from gift_core.spec import ExperimentSpec
from tests.workers.notifying import Clock, put_one
from workers.moves import move
from workers.outbox import Delivery, Outbox
from workers.records import JobState
from workers.settings import Settings
from workers.store import JobStore
from workers.studio import Studio
from workers.webhook_addresses import AddressError, Target
from workers.webhooks import MOST_TRIES, Webhooks, pause_before

SECRET = "key of the hook"


class Receiver(ThreadingHTTPServer):
    """Answers with `statuses` in turn, then with 204."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook?of=us"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("location", self.server.url + "&redirected")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Requests are not worth a line in the tests' output."""


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(*statuses: int) -> Receiver:
        server = Receiver(*statuses)
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def delivered(store: JobStore) -> list[tuple[bool, str, int]]:
    with store.database.read() as session:
        rows = session.connection().execute(text("SELECT settled, outcome, tries FROM delivery ORDER BY id")).all()
    return [(bool(settled), outcome, tries) for settled, outcome, tries in rows]


def test_a_receiver_that_fails_twice_gets_it_the_third_time_through_restarts(
    store: JobStore, receiver: Callable[..., Receiver]
) -> None:
    there = receiver(500, 302)
    target = Target.of(there.url)
    put_one(store, target.key)
    clock = Clock()

    def restarted() -> Webhooks:
        return Webhooks(Outbox(store.database), {target.key: target}, SecretStr(SECRET), clock)

    restarted().deliver()
    assert delivered(store) == [(False, "", 1)]
    for tries in (1, 2):
        after = restarted()
        after.deliver()
        assert len(there.received) == tries  # It waits for its pause, restarted or not.
        clock.now += pause_before(tries)
        after.deliver()
    assert delivered(store) == [(True, "204", 3)]
    restarted().deliver()
    # The redirect was not followed, and no try was made twice.
    assert len(there.received) == 3
    bodies = {body for _, body in there.received}
    assert len(bodies) == 1
    headers, body = there.received[-1]
    assert json.loads(body)["event"] == "nan_loss"
    assert headers["host"] == f"127.0.0.1:{there.server_port}"
    stamp, _, mac = headers["gift-signature"].partition(",v1=")
    seconds = stamp.removeprefix("t=")
    assert abs(int(seconds) - time.time()) < 60
    assert mac == hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()


def test_two_processes_make_each_try_once(store: JobStore, receiver: Callable[..., Receiver]) -> None:
    there = receiver()
    target = Target.of(there.url)
    put_one(store, target.key)
    outbox = Outbox(store.database)
    (seen,) = outbox.open()
    assert outbox.begin_try(seen)
    # The other one read it before that.
    assert not outbox.begin_try(seen)
    Webhooks(outbox, {target.key: target}).deliver()
    assert there.received == []


def test_it_is_given_up_after_a_while_or_when_its_receiver_is_gone(store: JobStore) -> None:
    closed = Target.of("http://127.0.0.1:9/x")
    put_one(store, closed.key, "gone")
    clock = Clock()
    hooks = Webhooks(Outbox(store.database), {closed.key: closed}, clock=clock)
    for _ in range(MOST_TRIES + 2):
        hooks.deliver()
        clock.now += 3600
    assert delivered(store) == [
        (True, "ConnectError", MOST_TRIES),
        (True, "its receiver is not in the settings any more", 0),
    ]


def test_neither_store_nor_log_knows_the_url(
    store: JobStore, receiver: Callable[..., Receiver], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "workers")
    there = receiver(500)
    target = Target.of(there.url)
    put_one(store, target.key)
    Webhooks(Outbox(store.database), {target.key: target}, SecretStr(SECRET)).deliver()
    assert "try 1 of" in caplog.text
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) + caplog.text.encode()
    for secret in ("/hook", "of=us", SECRET):
        assert secret.encode() not in kept


# Where they may go


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "ftp://example.org/",
        "https://user:pass@example.org/",
        "https:///x",
        "https://example.org:port/",
        "https://exa mple.org/",
        "example.org",
        "",
    ],
)
def test_only_https_or_this_machine(url: str) -> None:
    with pytest.raises(AddressError) as refused:
        Target.of(url)
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "nonsense",
    ],
)
def test_a_name_that_leads_inside_is_refused_when_it_is_used(store: JobStore, address: str) -> None:
    target = Target.of("https://example.org/hook")
    assert target.addresses(lambda *_: ["93.184.216.34"]) == ["93.184.216.34"]
    with pytest.raises(AddressError):
        target.addresses(lambda *_: ["93.184.216.34", address])
    put_one(store, target.key)
    Webhooks(Outbox(store.database), {target.key: target}, resolve=lambda *_: [address]).deliver()
    assert delivered(store) == [(False, "", 1)]


def test_a_literal_address_of_the_network_is_refused_and_this_machine_stays_this_machine() -> None:
    for url in ("https://10.0.0.1/", "https://[fd00::1]/", "https://2130706433/"):
        with pytest.raises((AddressError, OSError)):
            Target.of(url).addresses()
    assert Target.of("http://[::1]:8080/x").addresses(lambda *_: ["::1"]) == ["::1"]
    with pytest.raises(AddressError):
        Target.of("http://localhost/x").addresses(lambda *_: ["10.0.0.1"])


def test_the_settings_take_several_and_say_what_is_wrong_without_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_WEBHOOK_URLS", "https://a.example/s1, http://localhost:1/s2")
    assert [url.get_secret_value() for url in Settings().webhook_urls] == [
        "https://a.example/s1",
        "http://localhost:1/s2",
    ]
    assert "s1" not in repr(Settings())
    monkeypatch.setenv("GIFT_WEBHOOK_URLS", "http://a.example/s3")
    with pytest.raises(ValidationError, match="https://"):
        Settings()


def test_a_studio_with_a_worker_tells_of_what_happens_from_then_on(
    tmp_path: Path, receiver: Callable[..., Receiver]
) -> None:
    there = receiver()
    settings: dict[str, Any] = {"webhook_urls": (there.url,), "webhook_secret": SECRET, "disk_floor_gb": 0}
    studio = Studio(Settings(data_dir=tmp_path, devices="cpu", **settings))
    outbox, store = Outbox(studio.store.database), studio.store
    store.set_paused(True, "me")
    worker = studio.worker()
    worker.start()
    try:
        wait_until(lambda: "notified" in switches(store))
        store.create_experiment(ExperimentSpec(), None)
        job = store.waiting()[0]
        # As another worker would do it: while it is paused, none here takes it first.
        with store.database.write() as session:
            attached = session.merge(job)
            move(session, attached, JobState.RUNNING, by="w", attempt=1)
            move(session, attached, JobState.FINISHED, by="w", cause="finished")
        wait_until(lambda: there.received and not outbox.open())
    finally:
        worker.stop()
        studio.close()
    (body,) = [json.loads(body) for _, body in there.received]
    assert (body["event"], body["job"]["id"]) == ("finished", job.id)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def switches(store: JobStore) -> set[str]:
    with store.database.read() as session:
        return set(session.connection().execute(text("SELECT name FROM switch")).scalars())


def test_old_deliveries_are_forgotten_but_not_those_that_wait(store: JobStore) -> None:
    outbox = Outbox(store.database)
    with store.database.write() as session:
        for identity, settled in ((1, True), (2, False), (20_000, False)):
            event = f"e{identity}"
            session.add(Delivery(id=identity, job_id="j", attempt=1, event=event, target="t", body={}, settled=settled))
    outbox.settle(outbox.open()[-1], "204")
    assert [each.id for each in outbox.open()] == [2]
    assert len(delivered(store)) == 2
