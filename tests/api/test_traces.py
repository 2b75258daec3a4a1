"""Denoising over HTTP: begun, watched, cancelled, kept, gone on from and compared."""

from __future__ import annotations

import httpx
import pytest

from gift_core.trace import Frame, TraceEnd, TraceStart
from ui.connection import StudioError


@pytest.fixture
def sudoku(client):
    return client.examples(1)[0]


def stable(trace):
    return trace.model_dump(exclude={"end": {"seconds"}, "start": {"checkpoint", "label"}})


def test_a_denoising_commits_every_position_once_and_is_judged(client, sudoku):
    (trace,) = client.denoise(["tiny"], sudoku.prompt, {"steps": 12})
    assert len(trace.frames) == 12
    assert sorted(position for frame in trace.frames for position in frame.positions) == list(range(trace.length))
    blanks = sudoku.prompt.count("0")
    assert trace.end.verdict == "solved" or trace.end.verdict.endswith(f" of {blanks} blanks right")
    assert client.denoise(["tiny"], "What is 2 + 2?")[0].end.verdict == ""


def test_a_checkpoint_against_itself_is_identical(client, sudoku):
    one, other = client.denoise(["tiny", "tiny"], sudoku.prompt, {"temperature": 1.0, "remasking": "random"}, seed=3)
    assert stable(one) == stable(other)


def test_the_seed_decides_what_is_drawn(client, sudoku):
    first, other = (client.denoise(["tiny"], sudoku.prompt, {"remasking": "random"}, seed)[0] for seed in (1, 2))
    assert first.frames != other.frames


def test_steps_arrive_one_by_one_and_a_reader_goes_on_where_it_was(client, sudoku):
    (view,) = client.start_traces(["tiny"], sudoku.prompt)
    events = list(client.trace_events([view.id]))
    parts = [event.data.part for event in events]
    assert isinstance(parts[0], TraceStart)
    assert all(isinstance(part, Frame) for part in parts[1:-2])
    assert isinstance(parts[-2], TraceEnd)
    assert (events[-1].event, events[-1].data.state) == ("ended", "finished")
    assert list(client.trace_events([view.id], after=events[9].id)) == events[10:]
    assert list(client.trace_events([view.id], after=events[-1].id)) == []


def test_one_stream_carries_several_traces(client, sudoku):
    views = client.start_traces(["tiny", "tiny"], sudoku.prompt, {"steps": 6}, edits=[{"position": 0, "text": "a"}])
    other = client.start_traces(["tiny"], sudoku.prompt, {"steps": 8})
    ids = [views[0].id, other[0].id]
    parts = {identity: [] for identity in ids}
    for event in client.trace_events(ids):
        parts[event.data.trace].append(event.data.part)
    assert [len(parts[identity]) for identity in ids] == [6 + 3, 8 + 3]


def test_a_long_trace_is_cancelled(client, sudoku):
    slow = {"length": 768, "block_length": 32, "steps": 768, "suppress_eos": "tokens"}
    (view,) = client.start_traces(["tiny"], sudoku.prompt, slow)
    events = client.trace_events([view.id])
    next(events)
    client.cancel_trace(view.id)
    last = list(events)[-1]
    assert last.data.state == "cancelled"
    with pytest.raises(StudioError, match="cancelled") as refusal:
        client.trace(view.id)
    assert refusal.value.status == 409


def test_other_requests_are_answered_while_traces_are_made(client, sudoku):
    slow = {"length": 768, "block_length": 32, "steps": 768, "suppress_eos": "tokens"}
    (view,) = client.start_traces(["tiny"], sudoku.prompt, slow)
    next(client.trace_events([view.id]))
    found = client.inspect(["tiny"], sudoku.prompt, sudoku.response)
    assert found.checkpoints
    assert client.cancel_trace(view.id).state == "running"


def test_what_was_made_is_listed_and_found_by_its_id(client, sudoku):
    (trace,) = client.denoise(["tiny"], sudoku.prompt, {"steps": 4})
    (view,) = client.start_traces(["tiny"], sudoku.prompt, {"steps": 4})
    assert view.state == "finished"
    assert [each.id for each in client.traces()] == [view.id]
    assert client.trace(view.id) == trace


def test_infill_stands_and_a_branch_goes_on(client, sudoku):
    (view,) = client.start_traces(["tiny"], sudoku.prompt, edits=[{"position": 1, "text": "So"}])
    (trace,) = client.finished_traces([view.id])
    assert trace.end.text.count("So") >= 1
    branch = client.branch(view.id, 5, [{"position": 3, "text": "9"}])
    (left,) = client.finished_traces([branch.id])
    assert left.start.branch.trace == view.id
    found = client.compare(view.id, branch.id)
    assert found.settings == ["given"]
    assert found.length == 48


def test_a_mistake_names_the_field(client, sudoku):
    for body, field in (
        ({"edits": [{"position": 5000, "text": "a"}]}, "edits.0.position"),
        ({"edits": [{"position": 1, "text": ""}]}, "edits.0.text"),
        ({"sampling": {"remasking": "origin"}}, "sampling"),
    ):
        with pytest.raises(StudioError) as refusal:
            client.start_traces(["tiny"], sudoku.prompt, body.get("sampling"), edits=body.get("edits", ()))
        assert refusal.value.status == 422
        assert refusal.value.problems[0].field == field
    (view,) = client.start_traces(["tiny"], sudoku.prompt, edits=[{"position": 47, "text": "far too long"}])
    with pytest.raises(StudioError, match="from position 47 on there are 1"):
        client.finished_traces([view.id])


@pytest.mark.parametrize("path", ["traces/nope", "traces/events?trace=nope", "comparisons?first=nope&second=nope"])
def test_an_unknown_trace_is_not_found(url, path):
    answer = httpx.get(f"{url}/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["problems"][0]["remedy"]
