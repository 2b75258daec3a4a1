"""Parquet values: the text of numbers, types that are not text, and columns that cannot be converted."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gift_core.data.checking import all_problems
from gift_core.data.files import read_examples
from gift_core.data.texts import number_text, text_of
from gift_core.errors import DataError, Problem

BROUGHT = Path(__file__).parents[1] / "data" / "brought"


def written(folder: Path, response: Any, **columns: Any) -> Path:
    path = folder / "d.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["p"] * len(response), "response": response, **columns}), path)
    return path


def responses(path: Path) -> list[str]:
    return [example.response for example in read_examples(path).examples]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pyarrow.array([0.1, 5.0, 1e8, -0.0, 1e16], pyarrow.float32()), "0.1 5.0 100000000.0 -0.0 10000000000000000"),
        (pyarrow.array(numpy.array([0.1, 2, 1e-4], numpy.float16)), "0.1 2.0 0.0001"),
        (pyarrow.array([0.1, 1e16, 1e-7, 5.0]), "0.1 10000000000000000 0.0000001 5.0"),
        (pyarrow.array([2.0**63, 123456.789]), "9223372036854776000 123456.789"),
        (pyarrow.array([Decimal("2.50"), Decimal("-0.10"), Decimal("10.00")]), "2.50 -0.10 10.00"),
        (pyarrow.array([Decimal("1E+3")], pyarrow.decimal256(40, 0)), "1000"),
        (pyarrow.array([2**64 - 1, 0], pyarrow.uint64()), "18446744073709551615 0"),
        (pyarrow.array([-(2**63), 7]), "-9223372036854775808 7"),
        (pyarrow.array(["a", "b", "a"]).dictionary_encode(), "a b a"),
        (pyarrow.array([1.5, 2.5]).dictionary_encode(), "1.5 2.5"),
        (pyarrow.array(["a", "b"], pyarrow.large_string()), "a b"),
        (pyarrow.array(["a", "b"], pyarrow.string_view()), "a b"),
        (pyarrow.ExtensionArray.from_storage(pyarrow.json_(), pyarrow.array(['{"a":1}'])), '{"a":1}'),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pyarrow.Array) else "",
)  # fmt: skip
def test_a_number_keeps_the_text_of_its_own_precision(tmp_path: Path, values: pyarrow.Array, texts: str) -> None:
    assert responses(written(tmp_path, values)) == texts.split()


@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_stands_for_it_and_has_no_exponent(number: float) -> None:
    text = number_text(number)
    assert text is not None
    assert float(text) == number
    assert not set(text) - set("-.0123456789")
    assert len(text.strip("-0.").replace(".", "")) <= 17


@given(st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_whole_numbers_and_decimals_keep_their_digits(number: int | Decimal) -> None:
    assert Decimal(text_of(number, "It")) == number


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_number_is_missing(number: float | Decimal) -> None:
    with pytest.raises(DataError, match="It is missing"):
        text_of(number, "It")


def problems(path: Path) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert list(caught.value.problems) == list(all_problems([path]))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pyarrow.array([datetime.date(2020, 1, 1), None]), "a date"),
        (pyarrow.array([0, None], pyarrow.date64()), "a date"),
        (pyarrow.array([2**60, None], pyarrow.timestamp("us", tz="Mars/Olympus")), "a date and time"),
        (pyarrow.array([2**60, None], pyarrow.timestamp("ms")), "a date and time"),
        (pyarrow.array([1, None], pyarrow.time32("s")), "a time of day"),
        (pyarrow.array([1, None], pyarrow.duration("ns")), "a duration"),
        (pyarrow.array([b"\xff", None]), "binary data"),
        (pyarrow.array([b"\xff" * 4, None], pyarrow.binary(4)), "binary data"),
        (pyarrow.array([True, None]), "true or false"),
        (pyarrow.array([["a"], None]), "a list"),
        (pyarrow.array([{"a": 1}, None]), "an object"),
        (pyarrow.array([[("a", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int8())), "an object"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pyarrow.Array) else "",
)  # fmt: skip
def test_what_is_not_text_says_what_it_is(tmp_path: Path, values: pyarrow.Array, kind: str) -> None:
    found = problems(written(tmp_path, values))
    assert [problem.message for problem in found] == [
        f'The response (column "response") is {kind}, not text.',
        'The response (column "response") is missing.',
    ]
    assert all(problem.remedy for problem in found)


def test_a_date_in_a_column_that_may_be_empty_is_refused_too(tmp_path: Path) -> None:
    dates = pyarrow.array([datetime.date(2020, 1, 1), None])
    (problem,) = problems(written(tmp_path, ["r", "s"], system=dates))
    assert (problem.field, problem.message) == ("row 1", 'Column "system" is a date, not text.')


def test_missing_numbers_in_a_column_that_may_be_empty_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, ["r", "s"], system=pyarrow.array([float("nan"), None], pyarrow.float32()))
    assert [example.history for example in read_examples(path).examples] == [(), ()]


def test_numbers_in_messages_keep_their_text(tmp_path: Path) -> None:
    kind = pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.float32())]))
    talk = [{"role": "user", "content": 0.1}, {"role": "assistant", "content": 2.5}]
    parquet.write_table(pyarrow.table({"messages": pyarrow.array([talk], kind)}), tmp_path / "d.parquet")
    (example,) = read_examples(tmp_path / "d.parquet").examples
    assert (example.prompt, example.response) == ("0.1", "2.5")
    talk[1]["content"] = float("nan")
    parquet.write_table(pyarrow.table({"messages": pyarrow.array([talk], kind)}), tmp_path / "d.parquet")
    assert "message 2 of column" in problems(tmp_path / "d.parquet")[0].message
    assert "is missing" in problems(tmp_path / "d.parquet")[0].message


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.list_(pyarrow.string()),
        pyarrow.large_list(pyarrow.string()),
        pyarrow.list_(pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
        pyarrow.map_(pyarrow.string(), pyarrow.string()),
    ],
    ids=str,
)
def test_lists_and_maps_of_messages_are_read(tmp_path: Path, kind: pyarrow.DataType) -> None:
    talks = [[("user", "a"), ("assistant", "b")], [("user", "c"), ("assistant", "d")], None]
    if pyarrow.types.is_map(kind):
        rows = [talk and [[("role", role), ("content", text)] for role, text in talk] for talk in talks]
        table = {"messages": pyarrow.array(rows, pyarrow.list_(kind))}
    else:
        texts = pyarrow.array([talk and [text for _, text in talk] for talk in talks], kind)
        rows = [talk and [{"role": role, "content": text} for role, text in talk] for talk in talks]
        table = {"messages": pyarrow.array(rows), "texts": texts}
    parquet.write_table(pyarrow.table(table).slice(0, 2), tmp_path / "d.parquet")
    found = read_examples(tmp_path / "d.parquet").examples
    assert [(example.prompt, example.response) for example in found] == [("a", "b"), ("c", "d")]


def test_the_unknown_time_zone_float32_and_missing_numbers() -> None:
    assert responses(BROUGHT / "unknown-zone.parquet")[1:] == ["d o g", "s u n", "s e a"]
    assert responses(BROUGHT / "float32.parquet") == ["0.1", "0.3"]
    found = problems(BROUGHT / "nan-answers.parquet")
    assert [(p.field, p.message) for p in found] == [
        ("row 2", 'The response (column "answer") is missing.'),
        ("row 4", 'The response (column "answer") is missing.'),
    ]


def test_one_column_has_one_name(tmp_path: Path) -> None:
    columns = [pyarrow.array([text]) for text in "prq"]
    table = pyarrow.Table.from_arrays(columns, ["prompt", "response", "prompt"])
    parquet.write_table(table, tmp_path / "d.parquet")
    (problem,) = problems(tmp_path / "d.parquet")
    assert problem.message == 'The file names the column "prompt" twice.'
    inner = pyarrow.StructArray.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], ["content", "content"])
    (problem,) = problems(written(tmp_path, ["r"], meta=inner))
    assert (problem.field, problem.message) == ("row 1", 'The name "content" occurs twice in one object.')
    names = pyarrow.array([[("a", 1), ("a", 2)]], pyarrow.map_(pyarrow.string(), pyarrow.int8()))
    (problem,) = problems(written(tmp_path, ["r"], meta=names))
    assert problem.message == 'The name "a" occurs twice in one object.'


def invalid_text() -> pyarrow.Array:
    offsets = pyarrow.py_buffer(numpy.array([0, 1, 2], numpy.int32))
    return pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, offsets, pyarrow.py_buffer(b"\xffa")])


def test_a_value_that_cannot_be_converted_refuses_only_the_row_that_reads_it(tmp_path: Path) -> None:
    assert responses(written(tmp_path, ["r", "s"], note=invalid_text())) == ["r", "s"]
    (problem,) = problems(written(tmp_path, invalid_text()))
    assert problem.field == "row 1"
    assert problem.message == 'The response (column "response") is bytes that are not UTF-8, not text.'


@pytest.mark.parametrize("damaged", ["note", "response"])
def test_a_damaged_column_refuses_only_rows_that_read_it(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "d.parquet"
    columns = {name: [f"{name} {n}" for n in range(2000)] for name in ("prompt", "response", "note")}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=1000, use_dictionary=False)
    metadata = parquet.ParquetFile(path).metadata.row_group(1)
    (place,) = (metadata.column(n) for n in range(3) if metadata.column(n).path_in_schema == damaged)
    content = bytearray(path.read_bytes())
    content[place.data_page_offset : place.data_page_offset + 20] = b"\xff" * 20
    path.write_bytes(content)
    if damaged == "note":
        assert responses(path) == columns["response"]
    else:
        found = list(all_problems([path]))
        assert [problem.field for problem in found] == [f"row {n}" for n in range(1001, 2001)]
        assert found[0].message.startswith('The response (column "response") is damaged')
