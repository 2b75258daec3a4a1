"""What operators see: health, readiness, metrics, and the log of requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from starlette.types import Message, Receive, Scope, Send

from api.app import create_api
from api.request_log import RequestLog
from api.request_metrics import RequestMetrics
from gift_core.spec import ExperimentSpec
from workers.metrics import MetricLine
from workers.records import Job, JobKind, JobState, Worker
from workers.settings import Settings
from workers.studio import Studio

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
CAUSE = {"code": "killed", "message": "It was killed.", "field": "", "remedy": ""}

# Without accounts the studio answers to names of this machine only.
HERE = "http://127.0.0.1"


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path, embedded_worker=False))
    yield opened
    opened.close()


@pytest.fixture
def http(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_api(studio), HERE, raise_server_exceptions=False) as client:
        yield client


def scrape(http: TestClient) -> Samples:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def take_first(studio: Studio) -> Job:
    job = studio.store.claim("w", "here", lambda waiting, _: next(each for each in waiting if each.devices))
    assert job
    return job


def test_jobs_are_counted_by_kind_and_state_with_what_they_ended_in(studio: Studio, http: TestClient) -> None:
    scrape(http)
    studio.store.create_experiment(ExperimentSpec(), None)  # SFT and GIFT.
    created = time.time() - 90
    studio.store.add_job(Job(id="ev_1", kind=JobKind.EVALUATE, label="e", spec={}, devices=0, created=created))
    first, second = take_first(studio), take_first(studio)
    studio.store.beat(first.id, first.owner or "", [MetricLine(number=1, step=1, time=1.0, values={"loss": 2.0})])
    studio.store.end(first.id, first.owner or "", JobState.FINISHED, "finished", result={})
    studio.store.end(second.id, second.owner or "", JobState.FAILED, "killed", failure=CAUSE)
    seen = scrape(http)
    assert value(seen, "gift_jobs", kind="train", state="finished") == 1
    assert value(seen, "gift_jobs", kind="train", state="queued") == 0
    assert value(seen, "gift_jobs", kind="evaluate", state="queued") == 1
    assert value(seen, "gift_queue_length") == 1
    assert 90 <= value(seen, "gift_queue_oldest_wait_seconds") <= time.time() - created
    assert value(seen, "gift_attempts_ended_total", kind="train", state="finished") == 1
    assert value(seen, "gift_job_failures_total", kind="train", cause="killed") == 1
    assert value(seen, "gift_attempt_seconds_count", kind="train") == 2
    assert value(seen, "gift_metric_points") == 1
    assert value(seen, "gift_store_bytes") > 4096
    # Asked once more, nothing that is counted is counted twice.
    assert value(scrape(http), "gift_attempts_ended_total", kind="train", state="finished") == 1


def test_devices_are_busy_or_free(studio: Studio, http: TestClient) -> None:
    cards = [{"name": name, "title": "", "memory": 1} for name in ("cuda:0", "cuda:1", "cpu")]
    studio.store.register(Worker(id="w", host="here", process_id=1, devices=cards))
    studio.store.create_experiment(ExperimentSpec(), None)
    assert studio.store.claim("w", "here", lambda queued, _: queued[0], lambda *_: ["cuda:1"])
    seen = scrape(http)
    assert value(seen, "gift_devices", host="here", kind="cuda", state="busy") == 1
    assert value(seen, "gift_devices", host="here", kind="cuda", state="free") == 1
    assert value(seen, "gift_devices", host="here", kind="cpu", state="free") == 1


def test_requests_are_counted_by_route_and_never_by_path(http: TestClient) -> None:
    for name in ("a", "b", "c"):
        http.get(f"/api/v1/runs/{name}")
        http.get(f"/nothing/{name}")
        http.request(f"ODD{name.upper()}", "/api/v1/runs")
    text_of_all = http.get("/metrics").text
    seen = scrape(http)
    route = "/api/v1/runs/{run_id}"
    assert value(seen, "gift_http_requests_total", method="GET", route=route, status="404") == 3
    assert value(seen, "gift_http_request_seconds_count", method="GET", route=route) == 3
    assert value(seen, "gift_http_requests_total", method="GET", route="other", status="404") == 3
    assert "/nothing" not in text_of_all
    assert "ODD" not in text_of_all


def test_two_applications_in_one_process_count_for_themselves(studio: Studio, http: TestClient) -> None:
    with TestClient(create_api(studio), HERE) as other:
        other.get("/api/v1/runs")
        route = {"method": "GET", "route": "/api/v1/runs", "status": "200"}
        assert value(scrape(other), "gift_http_requests_total", **route) == 1
    assert ("gift_http_requests_total", tuple(sorted(route.items()))) not in scrape(http)


def test_a_scrape_reads_no_table_row_by_row(studio: Studio) -> None:
    """SQLite says how it will answer: jobs are counted in an index, the rest is looked up."""
    plans = []
    with ExitStack() as stack:
        session = stack.enter_context(studio.store.database.read())
        for question in (
            "SELECT kind, state, count(*) FROM job GROUP BY kind, state",
            "SELECT min(created) FROM job WHERE state = 'queued' AND attempt = 0",
            "SELECT max(cursor) FROM metric_point",
            "SELECT * FROM transition WHERE id > 5 ORDER BY id LIMIT 500",
            "SELECT host, placed_on FROM job WHERE state IN ('running', 'stopping') AND placed_on != ''",
        ):
            rows = session.connection().execute(text(f"EXPLAIN QUERY PLAN {question}")).all()
            plans.append(" ".join(row[3] for row in rows))
    assert "COVERING INDEX ix_job_kind_state" in plans[0]
    assert "SEARCH job USING COVERING INDEX ix_job_untaken" in plans[1]
    assert all(plan.startswith("SEARCH") for plan in plans[2:])


# Health


def test_ready_says_what_is_wrong_by_name(studio: Studio, http: TestClient) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready"}
    with studio.store.database.write() as session:
        session.connection().execute(text("DROP TABLE switch"))
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert [problem["field"] for problem in answer.json()["problems"]] == ["store"]
    assert http.get("/healthz").status_code == 200


def test_being_asked_leaves_no_traces(studio: Studio, http: TestClient) -> None:
    http.get("/readyz")
    with studio.store.database.read() as session:
        assert session.connection().execute(text("SELECT count(*) FROM switch")).scalar_one() == 0


def test_a_full_disk_and_a_dead_worker_are_told_and_nothing_is_taken_on(tmp_path: Path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, disk_floor_gb=10**9, embedded_worker=True, devices="cpu"))
    worker = studio.worker()
    with TestClient(create_api(studio), HERE) as http:
        problems = http.get("/readyz").json()["problems"]
        assert [problem["field"] for problem in problems] == ["disk", "worker"]
        refused = http.post("/api/v1/experiments", json={})
        assert refused.status_code == 507
        assert refused.json()["code"] == "disk_full"
        worker.start()
        try:
            assert [problem["field"] for problem in http.get("/readyz").json()["problems"]] == ["disk"]
        finally:
            worker.stop()
    assert studio.store.jobs() == []
    studio.close()


def test_streams_are_counted_while_they_are_open_and_are_no_latency() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry)
    open_streams = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        open_streams.append(registry.get_sample_value("gift_event_streams"))
        raise ConnectionError("the tab was closed")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert (b"x-request-id", b"abc") in message["headers"]

    app = RequestLog(stream, prefix="/api/v1", metrics=metrics)
    headers = [(b"x-request-id", b"abc")]
    scope: Scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "headers": headers}
    with pytest.raises(ConnectionError):
        asyncio.run(app(scope, receive, send))
    assert open_streams == [1]
    assert registry.get_sample_value("gift_event_streams") == 0
    counted = {"method": "GET", "route": "other"}
    assert registry.get_sample_value("gift_http_requests_total", counted | {"status": "200"}) == 1
    assert registry.get_sample_value("gift_http_request_seconds_count", counted) is None


# The log of requests


def test_a_request_keeps_a_sane_id_and_gets_one_otherwise(http: TestClient) -> None:
    assert http.get("/api/v1/runs", headers={"X-Request-ID": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for odd in ("", "a b", "x" * 101, "a\tb"):
        given = http.get("/api/v1/nothing", headers={"X-Request-ID": odd}).headers["x-request-id"]
        assert given != odd
        assert len(given) == 16


def test_what_nobody_foresaw_is_found_in_the_log_by_the_id_of_its_answer(
    studio: Studio, http: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.store, "jobs", None)
    answer = http.get("/api/v1/runs", headers={"X-Request-ID": "abc"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "abc")
    assert next(record.exc_info is not None for record in caplog.records if record.name == "api.request_log")


def test_the_log_has_every_request_of_the_api_with_status_and_duration(
    http: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.request_log")
    http.get("/api/v1/runs/x%0Ay", headers={"X-Request-ID": "abc"})
    http.get("/healthz")
    (record,) = [record for record in caplog.records if record.name == "api.request_log"]
    assert (record.__dict__["status"], record.__dict__["route"]) == (404, "/api/v1/runs/{run_id}")
    assert record.__dict__["duration_ms"] > 0
    assert record.getMessage().startswith(r"GET /api/v1/runs/x\ny 404 ")
