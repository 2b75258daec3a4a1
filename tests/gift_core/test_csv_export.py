"""Cells that a spreadsheet would run are written as text, and nothing else is changed."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.csv_export import as_text, write_csv

CELL = st.text(st.characters(codec="utf-8"), max_size=8)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_what_looks_like_a_formula_is_marked_as_text(first: str) -> None:
    assert as_text(f"{first}1+1") == f"'{first}1+1"


@given(rows=st.lists(st.tuples(CELL, CELL), max_size=5))
def test_cells_come_back_and_none_is_a_formula(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    write_csv(file, ("a", "=b"), [(*row, -1.5) for row in rows])
    header, *found = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert header == ["a", "'=b"]
    assert [cell[:1] in "=+-@\t\r" and cell != "" for row in found for cell in row[:2]] == [False] * 2 * len(rows)
    assert [tuple(row) for row in found] == [(as_text(one), as_text(two), "-1.5") for one, two in rows]
    assert all(as_text(cell) in (cell, f"'{cell}") for row in rows for cell in row)
