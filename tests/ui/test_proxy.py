"""A front end apart from its backend: reading goes through unchanged, everything else stops."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import httpx
import pytest

from api.schemas import MetricsEvent
from tests.serving import free_port, serve
from ui.client import StudioClient
from ui.connection import StudioError
from ui.proxy import create_proxy
from ui.visitor import Visitors


@pytest.fixture
def proxy(url: str) -> Iterator[str]:
    """The address of a front end whose backend is at `url`."""
    with serve(create_proxy(url, Visitors())) as address:
        yield address


@pytest.fixture
def through(proxy: str) -> Iterator[StudioClient]:
    with StudioClient(proxy) as client:
        yield client


def get(address: str, path: str) -> tuple[int, str, bytes, str | None]:
    answer = httpx.get(f"{address}/api/v1{path}")
    return (
        answer.status_code,
        answer.headers["content-type"],
        answer.content,
        answer.headers.get("content-disposition"),
    )


def test_what_is_read_is_what_the_backend_says(url, proxy, create, trainer):
    experiment, (sft, gift) = create(name="Größe & mehr")
    trainer.start(sft)
    trainer.log(sft, 1, 2, 3)
    # Of a run that goes on, the seconds change from one reading to the next.
    trainer.finish(sft)
    for path in (
        "/models",
        "/experiments",
        f"/experiments/{experiment.id}",
        f"/runs/{gift.id}/spec",
        f"/runs/{gift.id}/log",
        f"/metrics?run={sft.id}&run={gift.id}&after=1&limit=1",
    ):
        assert get(proxy, path) == get(url, path)


def test_what_a_browser_has_already_is_not_sent_again(proxy, create):
    _, (sft, _) = create()
    first = httpx.get(f"{proxy}/api/v1/jobs/{sft.id}")
    again = httpx.get(f"{proxy}/api/v1/jobs/{sft.id}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_log_can_be_followed_through_it(through, studio, create):
    _, (sft, _) = create()
    studio.files(sft).mkdir(parents=True)
    (studio.files(sft) / "job.log").write_text("one\ntwo\n")
    assert through.log_part(sft.id, 0, 4) == ("one\n", 4)
    assert through.log_part(sft.id, 4) == ("two\n", 8)


def test_query_parameters_arrive(through, create, trainer):
    experiment, (sft, gift) = create()
    _, (other, _) = create()
    for run in (sft, gift, other):
        trainer.start(run)
        trainer.log(run, 1)
    assert [run.id for run in through.runs(experiment.id, state="running")] == [sft.id, gift.id]
    assert [point.run_id for point in through.metrics([sft.id, gift.id]).points] == [sft.id, gift.id]


@pytest.mark.parametrize(("path", "status"), [("/runs/nowhere", 404), ("/runs?state=sleeping", 422), ("/nothing", 404)])
def test_a_refusal_is_passed_on_in_the_backends_words(url, proxy, path, status):
    assert get(proxy, path) == get(url, path)
    answer = httpx.get(f"{proxy}/api/v1{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_events_stream_and_go_on_where_they_broke_off(through, proxy, create, trainer):
    experiment, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, 1, 2)
    first = next_points(through.events(experiment.id))
    assert steps(first) == [1, 2]

    events = through.events(experiment.id, after=first.id)
    trainer.log(sft, 3)
    assert steps(next_points(events)) == [3]
    trainer.log(sft, 4)
    assert steps(next_points(events)) == [4], "news comes while the stream is open"

    parameters = {"topic": f"experiment:{experiment.id}", "after": first.id}
    with httpx.stream("GET", f"{proxy}/api/v1/events", params=parameters) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        data = next(line for line in response.iter_lines() if '"points"' in line)
    assert '"step":3' in data.replace(" ", "")


def next_points(events: Iterator[object]) -> MetricsEvent:
    return next(event for event in events if isinstance(event, MetricsEvent))


def steps(event: MetricsEvent) -> list[int]:
    return [point.step for point in event.data.points]


def test_a_stream_of_nothing_is_refused_before_it_begins(through):
    with pytest.raises(StudioError, match="exp_nowhere") as refused:
        next(through.events("exp_nowhere"))
    assert refused.value.status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed_through_it(client, proxy, method):
    assert httpx.request(method, f"{proxy}/api/v1/experiments", json={}).status_code == 405
    assert client.experiments() == []


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
def test_only_the_api_is_passed_on(proxy, path):
    assert httpx.get(f"{proxy}{path}").status_code == 404


@pytest.mark.parametrize("path", ["/../../healthz", "/%2e%2e/%2e%2e/healthz", "/runs/..%2f..%2f..%2fhealthz"])
def test_a_path_does_not_climb_out_of_the_api(proxy, path):
    # Written out by hand: an HTTP library would resolve the dots before sending them.
    connection = http.client.HTTPConnection(proxy.removeprefix("http://"))
    connection.request("GET", f"/api/v1{path}")
    assert connection.getresponse().status == 404
    connection.close()


def test_a_backend_that_is_down_is_a_problem_with_a_remedy():
    with free_port() as listener:
        port = listener.getsockname()[1]
    with serve(create_proxy(f"http://127.0.0.1:{port}", Visitors())) as proxy, StudioClient(proxy) as client:
        with pytest.raises(StudioError, match="does not answer") as refused:
            client.models()
        answer = httpx.get(f"{proxy}/api/v1/models")
    assert refused.value.status == 502
    assert refused.value.problems[0].remedy
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 502
