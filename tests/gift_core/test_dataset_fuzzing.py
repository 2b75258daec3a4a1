"""Thousands of generated files: each is read whole, or refused with a `DataError`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gift_core.data.checking import all_problems, summary_of
from gift_core.data.files import SHOWN_PROBLEMS, SUFFIXES, FileContents, read_examples
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError

pytestmark = pytest.mark.slow

COLUMNS = (
    *("prompt", "response", "instruction", "input", "output", "messages", "conversations", "system", "\ud800", ""),
    *("context", "history", "reasoning", "chosen", "rejected", "completion", "tools", "weight", "image", "label"),
)
KEYS = st.sampled_from(
    (*COLUMNS, "role", "content", "from", "value", "type", "text", "thinking", "tool_calls", "train")
)
SPEAKERS = st.sampled_from(["user", "assistant", "system", "human", "gpt", "tool", "", None])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["\ud800", "\0", " ", "=1+1", "</script>", "\u202e", "<think>", "</think>", "[", "[{'role': 'user'}]"]
    )
    | st.sampled_from(['[{"role": "user", "content": "u"}]', '[["q", "a"]]', '[{"role": "assistant"}]'])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=6
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        **{"role": SPEAKERS, "from": SPEAKERS, "content": JSON, "value": SCALARS},
        **dict.fromkeys(("weight", "thinking", "name", "tool_calls", "masked"), JSON),
    },
)
ROW = st.dictionaries(st.sampled_from(COLUMNS), st.text(min_size=1, max_size=6) | st.lists(MESSAGE, max_size=4) | JSON)
MAPPINGS = st.builds(
    ColumnMapping.model_construct,
    layout=st.sampled_from(["auto", "pairs", "alpaca", "sharegpt", "messages"]),
    reasoning=st.sampled_from(["protocol", "think", "omit"]),
    **{
        f"{name}_column": st.none() | st.sampled_from(COLUMNS)
        for name in ("prompt", "response", "system", "conversation", "context", "history", "reasoning")
    },
)
REST = re.compile(r"and ([\d,]+) more rows\.")


def jsonl(rows: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def array(rows: list[Any]) -> bytes:
    return json.dumps(rows, indent=1).encode()


def table(rows: list[Any]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["prompt", "response", "system"])
    writer.writerows([str(cell) for cell in (row.values() if isinstance(row, dict) else [row])] for row in rows)
    return file.getvalue().encode(errors="surrogatepass")


def columns(rows: list[Any]) -> bytes:
    file = io.BytesIO()
    objects = [row for row in rows if isinstance(row, dict)]
    texts = [{name: repr(row.get(name)) for name in COLUMNS[:3]} for row in objects]
    answer = {"role": "assistant", "content": "a"}
    talks = [{"messages": [{"role": "user", "content": repr(row)}, answer]} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(texts or talks), file)
    return file.getvalue()


WRITERS: dict[str, Callable[[list[Any]], bytes]] = {
    ".jsonl": jsonl,
    ".ndjson": jsonl,
    ".json": array,
    ".csv": table,
    ".parquet": columns,
}


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many inputs, without a database and without looking for the smallest of those that fail for a long time."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


def read_file(path: Path, mapping: ColumnMapping) -> FileContents | DataError:
    try:
        return read_examples(path, mapping)
    except DataError as error:
        return error


def take_or_refuse(folder: Path, suffix: str, content: bytes, mapping: ColumnMapping) -> None:
    """Anything but usable examples, or a `DataError` that can be shown and says what the whole list says, fails."""
    path = folder / f"d{suffix}"
    path.write_bytes(content)
    listed = list(all_problems([path], mapping))
    json.dumps([problem.as_dict() for problem in listed], ensure_ascii=False).encode()
    assert all(problem.message and problem.remedy for problem in listed)
    found = read_file(path, mapping)
    if isinstance(found, DataError):
        rest = REST.fullmatch(found.problems[-1].message)
        hidden = int(rest[1].replace(",", "")) if rest else 0
        assert listed[:SHOWN_PROBLEMS] == list(found.problems[:SHOWN_PROBLEMS])
        assert len(listed) == len(found.problems) + hidden - bool(rest)
    else:
        assert not listed
        assert all(example.prompt.strip() and example.response.strip() for example in found.examples)
        summary = summary_of([path], mapping)
        assert summary.rows == len(found.examples)
        summary.model_dump_json().encode()


@fuzzed(2500)
@given(suffix=st.sampled_from(SUFFIXES), content=st.binary(max_size=200), mapping=MAPPINGS)
def test_bytes(folder: Path, suffix: str, content: bytes, mapping: ColumnMapping) -> None:
    take_or_refuse(folder, suffix, content, mapping)


TEXT = st.text(st.sampled_from('{}[]",:\\\n\r\t \ufeff0-.eEuN'), max_size=60)


@fuzzed(1500)
@given(suffix=st.sampled_from([".jsonl", ".json", ".csv"]), text=TEXT, mapping=MAPPINGS)
def test_text_of_what_formats_are_made_of(folder: Path, suffix: str, text: str, mapping: ColumnMapping) -> None:
    take_or_refuse(folder, suffix, text.encode(), mapping)


@fuzzed(3000)
@given(suffix=st.sampled_from(SUFFIXES), rows=st.lists(ROW | JSON, max_size=4), mapping=MAPPINGS)
def test_rows_of_every_shape(folder: Path, suffix: str, rows: list[Any], mapping: ColumnMapping) -> None:
    take_or_refuse(folder, suffix, WRITERS[suffix](rows), mapping)


CHANGES = st.lists(st.tuples(st.integers(0, 2**32), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4)
GOOD = [{"prompt": "p", "response": "r", "system": "s"}, {"prompt": "q", "response": "s", "system": ""}]


@fuzzed(2000)
@given(suffix=st.sampled_from(SUFFIXES), changes=CHANGES, cut=st.none() | st.integers(0, 2**32))
def test_good_files_that_were_damaged(
    folder: Path, suffix: str, changes: list[tuple[int, bytes, int]], cut: int | None
) -> None:
    content = WRITERS[suffix](GOOD)
    for place, put, taken in changes:
        at = place % (len(content) + 1)
        content = content[:at] + put + content[at + taken :]
    take_or_refuse(folder, suffix, content if cut is None else content[: cut % (len(content) + 1)], ColumnMapping())
