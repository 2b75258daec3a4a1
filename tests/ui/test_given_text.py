"""Infill as lines of text: what can be read, and what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.documents import Token
from gift_core.trace import Standing
from tests.ui.trace_data import IN_ORDER, trace
from ui.connection import StudioError
from ui.pages.given_text import given_text, parse_given


def test_a_line_is_a_position_and_its_text() -> None:
    found = parse_given("3: So\n\n 12 :  then⏎\r\n0:x: y")
    assert found.edits == [
        {"position": 3, "text": "So"},
        {"position": 12, "text": " then\n"},
        {"position": 0, "text": "x: y"},
    ]
    assert found.names == ["given text, line 1", "given text, line 3", "given text, line 4"]


def test_every_line_that_cannot_be_read_is_named() -> None:
    with pytest.raises(StudioError) as refusal:
        parse_given("So\n3: fine\n4:\n-1: a")
    assert [problem.field for problem in refusal.value.problems] == [
        "given text, line 1", "given text, line 3", "given text, line 4"
    ]  # fmt: skip
    assert all(problem.remedy for problem in refusal.value.problems)


@given(st.text(st.characters(exclude_characters="⏎\r", exclude_categories=["Cs"]), min_size=1))
def test_what_was_given_to_a_trace_reads_as_it_was_written(text: str) -> None:
    stands = [Standing(position=2, token=3, kind="given"), Standing(position=4, token=3, kind="placed")]
    made = trace("GIFT", IN_ORDER[5:], standing=stands)
    told = made.start.model_copy(update={"new_tokens": [Token(id=3, text=text, glyph=0)]})
    assert parse_given(given_text(made.model_copy(update={"start": told}))).edits == [{"position": 2, "text": text}]
