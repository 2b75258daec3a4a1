"""What must not matter: the order of rows, columns that are not read, the format, and where a name first appears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gift_core.data import files
from gift_core.data.checking import all_problems, summary_of
from gift_core.data.examples import Example
from gift_core.data.files import read_examples
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError
from tests.gift_core.tables import WRITERS, Rows, names_of, write_jsonl

BROUGHT = Path(__file__).parents[1] / "data" / "brought"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
# What a byte order mark at the start of a file or of a record means is another matter, and so is a <think> block:
# Hypothesis draws texts that stand in the code.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip()) and "think>" not in text
)
PAIR = {"instruction": TEXT, "output": TEXT}
ROWS = st.lists(
    st.fixed_dictionaries(PAIR, optional={"input": TEXT, "system": TEXT, "note": TEXT}), min_size=1, max_size=8
)
TALK = st.lists(TEXT, min_size=2, max_size=6).map(
    lambda texts: [
        {"role": ("user", "assistant")[place % 2], "content": text}
        for place, text in enumerate(texts[: len(texts) // 2 * 2])
    ]
)
TALKS = st.lists(st.fixed_dictionaries({"messages": TALK}, optional={"system": TEXT}), min_size=1, max_size=5)


def learned(example: Example) -> tuple[object, ...]:
    return example.prompt, example.response, example.history


def read(folder: Path, suffix: str, rows: Rows, **mapping: str) -> list[tuple[object, ...]]:
    path = folder / f"d{suffix}"
    WRITERS[suffix](path, rows)
    return [learned(example) for example in read_examples(path, ColumnMapping(**mapping)).examples]


@pytest.mark.parametrize("suffix", WRITERS)
@QUICK
@given(rows=ROWS, data=st.data())
def test_the_order_of_rows_changes_no_example(tmp_path: Path, suffix: str, rows: Rows, data: st.DataObject) -> None:
    places = data.draw(st.permutations(range(len(rows))))
    found = read(tmp_path, suffix, rows)
    assert read(tmp_path, suffix, [rows[place] for place in places]) == [found[place] for place in places]


@QUICK
@given(rows=TALKS, data=st.data())
def test_the_order_of_conversations_changes_none(tmp_path: Path, rows: Rows, data: st.DataObject) -> None:
    places = data.draw(st.permutations(range(len(rows))))
    for suffix in (".jsonl", ".json", ".parquet"):
        found = read(tmp_path, suffix, rows)
        assert read(tmp_path, suffix, [rows[place] for place in places]) == [found[place] for place in places]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@QUICK
@given(rows=ROWS, values=st.lists(ANYTHING, min_size=8, max_size=8))
def test_an_unread_column_changes_nothing(tmp_path: Path, suffix: str, rows: Rows, values: list[object]) -> None:
    more = [{"unread": value, **row} for row, value in zip(rows, values, strict=False)]
    assert read(tmp_path, suffix, more) == read(tmp_path, suffix, rows)


# Types whose values Python cannot always hold, or that text has no room for.
UNREAD_TYPES = [
    pyarrow.timestamp("us", tz="nowhere/at_all"),
    pyarrow.timestamp("ns"),
    pyarrow.date32(),
    pyarrow.time64("ns"),
    pyarrow.duration("ms"),
    pyarrow.float16(),
    pyarrow.float32(),
    pyarrow.decimal128(30, 3),
    pyarrow.binary(),
    pyarrow.large_binary(),
    pyarrow.null(),
    pyarrow.string_view(),
    pyarrow.list_(pyarrow.timestamp("us", tz="nowhere/at_all")),
    pyarrow.struct([("inner", pyarrow.timestamp("ms"))]),
    pyarrow.map_(pyarrow.string(), pyarrow.int64()),
    pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
]


@pytest.mark.parametrize("kind", UNREAD_TYPES, ids=str)
def test_an_unread_column_of_any_type_of_parquet_changes_nothing(tmp_path: Path, kind: pyarrow.DataType) -> None:
    columns = {"prompt": ["p", "q"], "response": ["r", "s"]}
    path = tmp_path / "d.parquet"
    parquet.write_table(pyarrow.table(columns | {"unread": values_of(kind)}), path)
    assert [learned(example) for example in read_examples(path).examples] == [("p", "r", ()), ("q", "s", ())]


def values_of(kind: pyarrow.DataType) -> pyarrow.Array:
    """A value of the type as Python may not be able to hold it, and a null."""
    if kind == pyarrow.float16():
        return pyarrow.array([numpy.float16("inf"), None], kind)
    if pyarrow.types.is_list(kind):
        return pyarrow.array([[2**60], None], pyarrow.list_(pyarrow.int64())).cast(kind)
    if pyarrow.types.is_temporal(kind):
        size = pyarrow.int32() if kind == pyarrow.date32() else pyarrow.int64()
        far = 2**30 if size == pyarrow.int32() or pyarrow.types.is_time(kind) else 2**61
        return pyarrow.array([far, None], size).cast(kind)
    plain = {
        pyarrow.float32(): float("nan"),
        pyarrow.decimal128(30, 3): 1,
        pyarrow.binary(): b"\xff",
        pyarrow.large_binary(): b"\xff",
        pyarrow.null(): None,
        pyarrow.string_view(): "x",
        pyarrow.struct([("inner", pyarrow.timestamp("ms"))]): {"inner": 2**60},
        pyarrow.map_(pyarrow.string(), pyarrow.int64()): [("a", 1), ("a", 2)],
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()): "x",
    }
    if pyarrow.types.is_map(kind):
        return pyarrow.array([[("a", 1), ("b", 2)], None], kind)
    return pyarrow.array([plain[kind], None], kind)


NUMBERS = {
    "text": TEXT,
    "whole numbers": st.integers(-(2**63), 2**63 - 1),
    # Larger and smaller ones are written with an exponent, which a typed text keeps.
    "numbers": st.floats(1e-4, 1e15) | st.floats(-1e15, -1e-4) | st.sampled_from([0.0, -0.0, 0.1, 5.0]),
}


@pytest.mark.parametrize("kind", NUMBERS)
@QUICK
@given(data=st.data())
def test_a_table_is_the_same_in_every_format(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    columns = {"prompt": TEXT, "response": NUMBERS[kind]}
    rows = data.draw(st.lists(st.fixed_dictionaries(columns, optional={"system": TEXT}), min_size=1, max_size=6))
    found = [read(tmp_path, suffix, rows) for suffix in WRITERS]
    assert found[0] == [(r["prompt"], str(r["response"]), system_of(r)) for r in rows]
    assert all(other == found[0] for other in found)


def system_of(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return (("system", row["system"]),) if "system" in row else ()


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("before", [0, 1, 99, 100, 101, 10_000])
def test_a_column_may_appear_late(tmp_path: Path, suffix: str, before: int) -> None:
    plain = [{"instruction": f"Double {n}.", "output": str(2 * n)} for n in range(before)]
    late = {"instruction": "Translate.", "input": "house", "output": "Haus"}
    rows = [*plain, late, *plain[:2]]
    contents = read_all(tmp_path / f"d{suffix}", suffix, rows)
    assert contents.columns == names_of(rows)
    assert contents.layout.context == "input"
    assert contents.examples[before].prompt == "Translate.\n\nhouse"
    if before:
        assert contents.examples[-1].prompt == rows[-1]["instruction"]


def read_all(path: Path, suffix: str, rows: Rows) -> files.FileContents:
    WRITERS[suffix](path, rows)
    return read_examples(path)


def test_all_parts_of_a_split_are_one_table(tmp_path: Path) -> None:
    first = [{"instruction": f"Double {n}.", "output": str(2 * n)} for n in range(150)]
    second = [{"instruction": "Translate.", "output": "Haus", "input": "house"}]
    for suffix, write in WRITERS.items():
        parts = [tmp_path / f"{place}{suffix}" for place in (0, 1)]
        write(parts[0], first)
        write(parts[1], second)
        contents = read_examples(parts)
        assert contents.columns == ["instruction", "output", "input"]
        assert (contents.layout.context, contents.examples[-1].id) == ("input", 151)
        assert contents.examples[-1].prompt == "Translate.\n\nhouse"
        assert read_examples(parts[::-1]).examples[0].prompt == "Translate.\n\nhouse"
        assert summary_of(parts).context_column == "input"


def test_a_late_conversation_counts_as_an_early_one(tmp_path: Path) -> None:
    pair = {"prompt": "p", "response": "r"}
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    found = []
    for name, rows in (("early", [talk, *[pair] * 120]), ("late", [*[pair] * 120, talk])):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        found.append(sorted(p.message for p in all_problems([tmp_path / f"{name}.jsonl"])))
    assert found[0] == found[1]
    assert len(found[0]) == 120


def test_the_case_of_the_late_input() -> None:
    contents = read_examples(BROUGHT / "late-input.jsonl")
    assert contents.layout.context == "input"
    assert contents.examples[100].prompt.endswith("house")
    assert summary_of([BROUGHT / "late-input.jsonl"]).duplicates.conflicting_prompts == 0  # type: ignore[union-attr]


def test_more_names_than_can_be_held_are_refused_and_none_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    write_jsonl(path, [{"prompt": "p", "response": "r", f"x{n}": 1} for n in range(998)])
    assert len(read_examples(path).columns) == 1000
    write_jsonl(path, [{"prompt": "p", "response": "r", f"x{n}": 1} for n in range(2000)])
    for refuse in (lambda: read_examples(path), lambda: summary_of([path], needs_layout=False)):
        with pytest.raises(DataError) as caught:
            refuse()
        (problem,) = caught.value.problems
        assert problem.field == "row 999"
        assert problem.message == "The rows up to this one name 1,001 columns; the most is 1,000."
        assert problem.remedy
    assert [p.field for p in all_problems([path])] == ["row 999"]
    write_jsonl(path, [{"prompt": "p", "response": "r"}, {"p" * 1001: 1}])
    with pytest.raises(DataError, match="a column whose name has 1,001 characters; the most is 1,000"):
        read_examples(path)


def test_names_are_read_from_rows_that_are_not_objects_too(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("7\n[1]\n" + json.dumps({"prompt": "p", "response": "r"}) + "\n{\n")
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert [p.field for p in caught.value.problems] == ["row 1", "row 2", "row 4"]
