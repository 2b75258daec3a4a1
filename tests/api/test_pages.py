"""Long lists: each thing once, whatever is added meanwhile, and cursors that nobody can make up."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.pages import JOB_PLACE, TIME_PLACE, CursorError, decode, encode
from gift_core.recording import Recording
from gift_core.trace import save_trace
from workers.account_records import Role, Scope, Source
from workers.orders import EvaluationOrder
from workers.records import Dataset, Job, JobKind

LISTS = ("experiments", "runs", "jobs", "datasets", "evaluations", "traces", "accounts", "keys")
COUNT = 5


@pytest.fixture
def filled(studio, create) -> None:
    """Five of everything that is listed."""
    (trace, *_) = Recording.bundled().traces
    for number in range(COUNT):
        create(name=f"number {number}", methods=("sft",))
        order = EvaluationOrder(checkpoint=f"checkpoint {number}")
        studio.store.add_job(Job(id=order.id, kind=JobKind.EVALUATE, label=order.checkpoint, spec=order.model_dump()))
        studio.datasets._records.add(Dataset(id=f"ds_{number}", name=f"{number}.csv", suffix=".csv", bytes=1, rows=1))
        studio.trace_files.mkdir(exist_ok=True)
        account = studio.accounts.ensure(Source.KEY, f"program {number}", f"program {number}", Role.OWNER)
        studio.accounts.create_key(account.id, "a key", [Scope.READ], None)
        save_trace(trace, studio.trace_files / f"tr_{number:032x}.json.gz")
        time.sleep(0.001)


def ids(page: dict[str, Any]) -> list[str]:
    return [item["prefix"] if "prefix" in item else item["id"] for item in page["items"]]


def walk(get: Callable[..., Any], path: str, size: int, between: Callable[[], object] = lambda: None) -> list[str]:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = get(path, {"limit": size, **cursor})
        assert len(page["items"]) <= size
        seen += ids(page)
        if page["next"] is None:
            return seen
        cursor = {"cursor": page["next"]}
        between()


@pytest.fixture
def get(url: str) -> Iterator[Callable[..., Any]]:
    with httpx.Client(base_url=f"{url}/api/v1") as http:

        def get(path: str, parameters: dict[str, Any] | None = None) -> Any:
            response = http.get(f"/{path}", params=parameters)
            assert response.status_code == 200, response.text
            return response.json()

        yield get


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", LISTS)
def test_every_page_size_gives_the_same_list(get, path):
    whole = ids(get(path, {"limit": 100}))
    assert len(whole) == len(set(whole)) == (2 * COUNT if path == "jobs" else COUNT)
    for size in (1, 2, COUNT):
        assert walk(get, path, size) == whole


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", ["experiments", "runs", "jobs"])
def test_what_is_added_meanwhile_moves_nothing(get, create, path):
    before = [item["id"] for item in get(path)["items"]]
    assert walk(get, path, 2, between=create) == before


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("experiments", "Number 3", 1),
        ("datasets", "3.", 1),
        ("evaluations", "point 3", 1),
        ("runs", "SF", 5),
        ("jobs", "3", 1),
    ],
)
def test_lists_are_narrowed_by_a_part_of_the_name(get, path, text, found):
    assert len(get(path, {"text": text})["items"]) == found
    assert get(path, {"text": "no such thing"})["items"] == []
    # Of a pattern, every character counts as itself.
    assert get(path, {"text": "%"})["items"] == []


@pytest.mark.usefixtures("filled")
def test_runs_and_evaluations_are_narrowed_by_any_of_several_states(get):
    for path in ("runs", "evaluations"):
        assert len(get(path, {"state": ["queued", "failed"]})["items"]) == COUNT
        assert get(path, {"state": ["failed"]})["items"] == []


@pytest.mark.parametrize("path", LISTS)
def test_nonsense_is_no_cursor(url, path):
    with httpx.Client(base_url=f"{url}/api/v1") as http:
        for cursor in ("x", "e30", "bnVsbA", "WzFd", "!!", "W05hTiwgMSwgIngiXQ", "\0"):
            response = http.get(f"/{path}", params={"cursor": cursor})
            assert response.status_code == 400, cursor
            (problem,) = response.json()["problems"]
            assert problem["field"] == "cursor"
            assert problem["remedy"]


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_a_cursor_or_is_refused(text):
    for place in (JOB_PLACE, TIME_PLACE):
        try:
            found = decode(text, place)
        except CursorError:
            continue
        assert isinstance(found, tuple)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**6), st.text(max_size=40))
def test_a_place_survives_being_a_cursor(created, position, identity):
    assert decode(encode((created, position, identity)), JOB_PLACE) == (created, position, identity)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)), max_size=4))
def test_json_of_another_shape_is_refused(values):
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    try:
        found = decode(text, TIME_PLACE)
    except CursorError:
        return
    assert isinstance(found, tuple)
    assert len(found) == 2
