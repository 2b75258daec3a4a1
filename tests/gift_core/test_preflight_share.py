"""A report looks at a part of the data, and ends when nobody waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from gift_core.data import sources
from gift_core.data_spec import TaskSource
from tests.gift_core.test_preflight_report import changed, look

task_problems = sources.task_problems


def test_generated_problems_beyond_the_first_are_inferred_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []

    def counted(source: TaskSource, held_out: int) -> Any:
        made.append((source.examples, held_out))
        return task_problems(source, held_out)

    monkeypatch.setattr(sources, "task_problems", counted)
    run = changed(("data.source", {"kind": "task", "task": "algebra", "examples": 400}), ("data.held_out", 120))
    whole, part = look(run).estimates, look(run, most_generated=50).estimates
    assert made == [(400, 120), (50, 50)]
    assert whole.tokens
    assert part.tokens
    assert (part.tokens.counted, part.tokens.examples, part.tokens.held_out) == (50, 400, 120)
    assert part.steps == whole.steps
    assert part.tokens.response == pytest.approx(whole.tokens.response, rel=0.1)
    assert look(run, most_generated=500).estimates == whole


def test_a_report_that_nobody_waits_for_ends_at_the_next_example() -> None:
    looks = iter([None] * 3)

    def still_wanted() -> None:
        if next(looks, "gone"):
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        look(changed(("data.source", {"kind": "task", "examples": 100})), still_wanted=still_wanted)
    assert not list(looks)
