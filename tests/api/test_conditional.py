"""What a client has already is not sent again."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.conditional import matches


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}/api/v1") as http:
        yield http


def test_an_answer_is_sent_again_only_when_it_is_another(http, create, trainer):
    _, (run, _) = create()
    trainer.start(run)
    trainer.finish(run)
    for path in (f"/jobs/{run.id}", f"/runs/{run.id}", f"/runs/{run.id}/spec", "/models", "/presets", "/experiments"):
        first = http.get(path)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        again = http.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert http.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_a_change_makes_another_tag(http, studio, create):
    _, (run, _) = create()
    tag = http.get(f"/jobs/{run.id}").headers["etag"]
    studio.store.pin(run.id, True)
    changed = http.get(f"/jobs/{run.id}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["pinned"]
    assert changed.headers["etag"] != tag


def test_errors_and_changes_have_no_tag(http, create):
    _, (run, _) = create()
    assert "etag" not in http.get("/jobs/nowhere").headers
    assert "etag" not in http.post(f"/jobs/{run.id}/stop").headers


@given(st.lists(st.from_regex(r"[a-f0-9]{4}", fullmatch=True), min_size=1, unique=True), st.booleans(), st.data())
def test_a_tag_is_found_among_others_weak_or_strong(digests, weak, data):
    tags = [f'"{digest}"' for digest in digests]
    asked = ", ".join(f"W/{tag}" if weak else tag for tag in tags)
    assert matches(asked, data.draw(st.sampled_from(tags)))
    assert not matches(asked, '"none of them"')
    assert matches("*", tags[0])
    assert not matches("", tags[0])
