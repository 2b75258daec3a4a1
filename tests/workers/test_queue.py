"""The queue wakes workers the same way wherever its messages are, and outlives its server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest

from gift_core.errors import GiftError
from tests.services import PASSWORD, PostgresService, RedisService, wait_until
from workers import queue as queue_module
from workers.locations import LocationError
from workers.queue import JobQueue, QueueUnavailable

SERVERS = ("redis", "postgresql")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> RedisService | PostgresService:
    return request.getfixturevalue({"redis": "redis_server", "postgresql": "postgres_server"}[request.param])


@pytest.fixture
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/queue.sqlite3"
    return request.getfixturevalue({"redis": "redis_server", "postgresql": "postgres_server"}[request.param]).url


@pytest.fixture
def queue(location: str, request: pytest.FixtureRequest) -> Iterator[JobQueue]:
    with closing(JobQueue(location, request.node.name)) as opened:
        opened.clear()
        yield opened


everywhere = pytest.mark.parametrize("location", ["sqlite", *SERVERS], indirect=True)


@everywhere
def test_messages_wait_in_order_and_wake_one_worker_each(queue: JobQueue) -> None:
    ids = [f"jo_{number}" for number in range(20)]
    for job_id in ids:
        queue.wake(job_id)
    assert queue.pending() == ids
    queue.ping()

    taken: Queue[str] = Queue()
    consumer = queue.consumer(taken.put, workers=3, shutdown_timeout=5)
    consumer.start()
    assert sorted(taken.get(timeout=60) for _ in ids) == sorted(ids)
    assert queue.pending() == []
    queue.wake("jo_late")
    assert taken.get(timeout=60) == "jo_late"
    consumer.stop(graceful=True)
    assert taken.empty()


@everywhere
def test_threads_execute_side_by_side(queue: JobQueue) -> None:
    together = threading.Barrier(3)

    def execute(job_id: str) -> None:
        together.wait(60)

    consumer = queue.consumer(execute, workers=2, shutdown_timeout=5)
    consumer.start()
    queue.wake("jo_1")
    queue.wake("jo_2")
    together.wait(60)
    consumer.stop(graceful=True)
    assert not consumer.alive()


@everywhere
def test_cleared_messages_wake_nobody(queue: JobQueue) -> None:
    queue.wake("jo_1")
    queue.clear()
    assert queue.pending() == []


@everywhere
def test_a_failing_job_does_not_end_the_worker(queue: JobQueue) -> None:
    taken: Queue[str] = Queue()

    def execute(job_id: str) -> None:
        taken.put(job_id)
        raise ValueError(job_id)

    consumer = queue.consumer(execute, shutdown_timeout=5)
    consumer.start()
    for job_id in ("jo_1", "jo_2"):
        queue.wake(job_id)
        assert taken.get(timeout=60) == job_id
    assert consumer.alive()
    consumer.stop(graceful=True)


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_the_workers_outlive_a_restart_of_the_server(
    server: RedisService | PostgresService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    taken: Queue[str] = Queue()
    with closing(JobQueue(server.url, "outage")) as queue:
        queue.clear()
        consumer = queue.consumer(taken.put, workers=2, shutdown_timeout=5)
        consumer.start()
        server.kill()
        with pytest.raises(QueueUnavailable) as refused:
            queue.wake("jo_lost")
        for question in (queue.ping, queue.pending, queue.clear):
            with pytest.raises(QueueUnavailable):
                question()
        wait_until(lambda: "Error reading from queue" in caplog.text, lambda: caplog.text)
        server.start()
        queue.wake("jo_after")
        assert taken.get(timeout=60) == "jo_after"
        assert consumer.alive()
        consumer.stop(graceful=True)
    assert refused.value.problems[0].remedy
    assert PASSWORD not in caplog.text + str(refused.value)


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_messages_survive_the_server(server: RedisService | PostgresService) -> None:
    with closing(JobQueue(server.url, "kept")) as queue:
        queue.clear()
        queue.wake("jo_1")
        server.kill()
        server.start()
        assert queue.pending() == ["jo_1"]


def test_processes_may_open_a_new_queue_at_once(postgres_server: PostgresService) -> None:
    with postgres_server.new_database() as url, ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(JobQueue, [url] * 8))
        for queue in opened:
            queue.wake("jo_1")
        assert opened[0].pending() == ["jo_1"] * 8
        for queue in opened:
            queue.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"amqp://studio:{PASSWORD}@host/", "scheme of this URL is not known"),
        (f"redis:{PASSWORD}", "not a URL"),
        (f"redis://studio:{PASSWORD}@host:port/", "not a URL"),
        ("sqlite://", "no place"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, said: str) -> None:
    with pytest.raises(LocationError, match=said) as refused:
        JobQueue(url)
    assert refused.value.problems[0].field == "GIFT_QUEUE_URL"
    assert refused.value.problems[0].remedy
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("scheme", SERVERS)
def test_a_server_that_is_away_or_refuses_us_is_named_without_the_password(scheme: str) -> None:
    with pytest.raises(GiftError) as refused:
        JobQueue(f"{scheme}://studio:{PASSWORD}@127.0.0.1:1/0").ping()
    assert isinstance(refused.value, QueueUnavailable)
    assert f"{scheme}://127.0.0.1:1/0" in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_wrong_password_is_not_repeated(redis_server: RedisService) -> None:
    wrong = redis_server.url.replace(PASSWORD, "planted-wrong")
    with closing(JobQueue(wrong)) as queue, pytest.raises(QueueUnavailable) as refused:
        queue.ping()
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("announced_here", [True, False])
def test_a_message_of_this_process_is_heard_by_the_thread_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced_here: bool
) -> None:
    # Longer than the test may take: only the bell can wake it.
    for name in ("_POLL_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(queue_module, name, 3600.0)
    queue = JobQueue(tmp_path / "queue.sqlite3")
    taken: list[str] = []
    consumer = queue.consumer(taken.append, shutdown_timeout=60, announced_here=announced_here)
    consumer.start()
    try:
        for number in range(20):
            queue.wake(str(number))
            wait_until(lambda: len(taken) == number + 1, lambda: f"only {taken} came")  # noqa: B023
    finally:
        consumer.stop(graceful=True)
    assert taken == [str(number) for number in range(20)]
    assert not any(thread.is_alive() for _, thread in consumer.worker_threads), "it is woken to end"
    queue.close()
