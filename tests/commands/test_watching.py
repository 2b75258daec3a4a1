"""Runs and jobs are watched from the command line until they end."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace

import httpx
import pytest

from tests.commands.exports import exported
from ui.commands.client import CommandClient
from ui.commands.connection import resumed
from ui.commands.watching import Board
from ui.connection import StudioError
from workers.records import JobState


class Cutting(httpx.HTTPTransport):
    """Breaks off every answer within its fourth event: a snapshot says how both runs are before it brings points."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)

        class Cut(httpx.SyncByteStream):
            def __iter__(self):
                arrived = b""
                for piece in response.stream:
                    arrived += piece
                    whole = arrived.count(b"\n\n")
                    yield piece if whole < 4 else piece[: len(piece) // 2]
                    if whole >= 4:
                        raise httpx.ReadError("The connection was lost.")

            def close(self):
                response.close()

        return httpx.Response(response.status_code, headers=response.headers, stream=Cut())


def test_watching_ends_with_the_runs(gift, create, trainer):
    experiment, runs = create()
    begun = threading.Event()

    def train() -> None:
        begun.wait(20)
        for run in runs:
            trainer.start(run)
            trainer.log(run, 1, 2)
            trainer.finish(run)

    worker = threading.Thread(target=train)
    worker.start()
    begun.set()
    code, said, progress = gift("watch", experiment.id)
    worker.join()
    assert code == 0, progress
    assert said.count("finished") == 2
    assert progress.count("finished") == 2


def test_watching_says_by_its_exit_code_that_something_did_not_finish(gift, create, studio):
    experiment, (sft, gift_run) = create()
    for run in (sft, gift_run):
        studio.store.request_stop(run.id, by="test")
    code, said, _ = gift("watch", experiment.id)
    assert (code, said.count("stopped")) == (1, 2)


def test_ctrl_c_ends_the_watching_and_nothing_else(gift, create, trainer, studio, monkeypatch):
    experiment, (sft, _) = create()
    trainer.start(sft)
    show = Board.show

    def interrupted(self, view) -> None:
        show(self, view)
        if view.state == JobState.RUNNING:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Board, "show", interrupted)
    code, _, error = gift("watch", experiment.id)
    assert code == 130
    assert "it goes on" in error
    assert experiment.id in error
    assert studio.store.job(sft.id).state == JobState.RUNNING


def test_a_stream_that_breaks_off_goes_on_where_it_was(url, create, trainer, monkeypatch):
    experiment, (sft, _) = create()
    trainer.start(sft)
    trainer.log(sft, *range(1, 1203))
    monkeypatch.setattr("ui.commands.connection.PAUSES", (0.0,))
    seen: list[int] = []
    with CommandClient(url, transport=Cutting()) as client:
        for event in resumed(lambda after: client.events(experiment.id, after)):
            if event.event == "metrics":
                seen += [point.step for point in event.data.points]
            if 1202 in seen:
                break
    assert seen == list(range(1, 1203))


def test_a_stream_that_was_never_there_is_not_waited_for():
    def never(_after: str | None):
        raise StudioError([], 0)
        yield

    with pytest.raises(StudioError):
        next(resumed(never))


def test_patience_is_counted_from_when_the_studio_was_lost(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    attempts: list[str | None] = []

    def silent_then_away(after: str | None):
        attempts.append(after)
        if after is None:
            yield SimpleNamespace(id="7.1")
            clock[0] += 10_000  # Nothing happens for hours.
        raise StudioError([], status=0)

    with pytest.raises(StudioError):
        list(resumed(silent_then_away, patience=60))
    assert len(attempts) > 3
    assert 11_060 <= clock[0] < 11_080


def test_a_job_of_another_kind_is_watched_to_its_end(gift, create, trainer, studio, monkeypatch):
    _, (sft, _) = create()
    job = exported(studio, trainer, sft, {"config.json": b"{}"}, finished=False)
    show = Board.show

    def go_on(self, view) -> None:
        show(self, view)
        if view.state == JobState.RUNNING and studio.store.job(job.id).state == JobState.RUNNING:
            trainer.finish(job)

    monkeypatch.setattr(Board, "show", go_on)
    code, said, progress = gift("watch", job.id)
    assert (code, "finished" in said) == (0, True)
    assert "running" in progress
    lines = gift("watch", job.id, "--json")[1].splitlines()
    assert lines == [], "it has ended: nothing happens any more"
