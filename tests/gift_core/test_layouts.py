"""What is read from each layout, from each format: the examples come out as they went in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gift_core.data.examples import Example, Turn
from gift_core.data.files import read_examples
from gift_core.data_spec import ColumnMapping, LayoutName
from gift_core.errors import DataError, SpecError

Rows = list[dict[str, Any]]


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        # A cell of a CSV holds a list of messages as JSON.
        writer.writerows({n: v if isinstance(v, str) else json.dumps(v) for n, v in row.items()} for row in rows)


def write_parquet(path: Path, rows: Rows) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    ".jsonl": write_jsonl,
    ".json": write_json,
    ".csv": write_csv,
    ".parquet": write_parquet,
}
NAMES = {"system": "system", "user": "human", "assistant": "gpt"}


def as_pairs(example: Example) -> dict[str, Any]:
    system = {"system": example.history[0].text} if example.history else {"system": ""}
    return {"prompt": example.prompt, "response": example.response, **system}


def as_alpaca(example: Example) -> dict[str, Any]:
    instruction, _, given_input = example.prompt.partition("\n\n")
    row = {"instruction": instruction, "input": given_input, "output": example.response}
    return row | {"system": example.history[0].text if example.history else ""}


def as_messages(example: Example) -> dict[str, Any]:
    turns = [*example.history, Turn("user", example.prompt), Turn("assistant", example.response)]
    return {"messages": [{"role": turn.role, "content": turn.text} for turn in turns]}


def as_sharegpt(example: Example) -> dict[str, Any]:
    turns = [*example.history, Turn("user", example.prompt), Turn("assistant", example.response)]
    return {"conversations": [{"from": NAMES[turn.role], "value": turn.text} for turn in turns]}


LAYOUTS: dict[LayoutName, Callable[[Example], dict[str, Any]]] = {
    "pairs": as_pairs,
    "alpaca": as_alpaca,
    "sharegpt": as_sharegpt,
    "messages": as_messages,
}
# A lone carriage return is a line end to a CSV reader, and a blank line parts Alpaca's two halves. <think> begins
# reasoning, and Hypothesis draws texts that stand in the code.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: (
        text.strip()
        and not any(part in text for part in ("\n\n", "think>"))
        and not text.endswith("\n")
        and not text.startswith("\n")
    )
)
SYSTEM = TEXT.map(lambda text: (Turn("system", text),)) | st.just(())


@st.composite
def examples(draw: st.DrawFn, layout: LayoutName) -> list[Example]:
    found = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        history = draw(SYSTEM)
        if layout in ("sharegpt", "messages"):
            for _ in range(draw(st.integers(0, 2))):
                history += (Turn("user", draw(TEXT)), Turn("assistant", draw(TEXT)))
        prompt = draw(TEXT) + (f"\n\n{draw(TEXT)}" if layout == "alpaca" and draw(st.booleans()) else "")
        found.append(Example(number, prompt, draw(TEXT), history))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_examples_come_out_as_they_went_in(
    tmp_path: Path, layout: LayoutName, suffix: str, data: st.DataObject
) -> None:
    written = data.draw(examples(layout))
    path = tmp_path / f"d{suffix}"
    WRITERS[suffix](path, [LAYOUTS[layout](example) for example in written])
    found = read_examples(path)
    assert found.layout.name == layout
    assert found.examples == written
    assert read_examples(path, ColumnMapping(layout=layout)) == found


def only(path: Path, row: dict[str, Any], **mapping: str) -> Example:
    write_jsonl(path, [row])
    (example,) = read_examples(path, ColumnMapping.parse(mapping)).examples
    return example


GOLDEN = Path(__file__).parents[1] / "data" / "layouts"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.*")), ids=lambda path: path.name)
def test_files_as_they_are_found_in_the_wild(path: Path) -> None:
    found = read_examples(path)
    assert found.layout.name == path.stem
    assert found.examples == [
        Example(1, "Name the capital of France.", "Paris.", (Turn("system", "Answer briefly."),)),
        Example(2, "And of Spain?\n\nOne word." if path.stem == "alpaca" else "And of Spain?", "Madrid."),
    ]


def test_the_last_answer_is_learned_and_what_follows_it_is_left_out(tmp_path: Path) -> None:
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    assert only(tmp_path / "d.jsonl", row) == Example(1, "c", "d", (Turn("user", "a"), Turn("assistant", "b")))


def test_a_system_turn_of_the_conversation_wins_over_the_column(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    inside = [{"from": "system", "value": "inside"}, *talk]
    assert only(tmp_path / "d.jsonl", {"system": "beside", "conversations": talk}).history[0].text == "beside"
    assert only(tmp_path / "d.jsonl", {"system": "beside", "conversations": inside}).history[0].text == "inside"


ALL = {"instruction": "i", "input": "n", "output": "o", "messages": [{"role": "user", "content": "u"}]}


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"layout": "alpaca"}, Example(1, "i\n\nn", "o")),
        ({"layout": "pairs"}, Example(1, "i", "o")),
        ({"layout": "pairs", "prompt_column": "input"}, Example(1, "n", "o")),
        ({"prompt_column": "instruction"}, Example(1, "i\n\nn", "o")),
        ({"prompt_column": "output", "response_column": "input"}, Example(1, "o", "n")),
        ({"layout": "alpaca", "system_column": "input"}, Example(1, "i", "o", (Turn("system", "n"),))),
    ],
)
def test_a_layout_that_was_given_wins(tmp_path: Path, mapping: dict[str, str], expected: Example) -> None:
    assert only(tmp_path / "d.jsonl", ALL, **mapping) == expected


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"layout": "sharegpt", "prompt_column": "a"}, "layout sharegpt has a conversation_column"),
        ({"layout": "pairs", "conversation_column": "a"}, "layout pairs has a prompt and a response column"),
        ({"prompt_column": "a", "conversation_column": "b"}, "not both"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ColumnMapping.parse(mapping)


def test_one_column_has_one_use(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{"prompt": "p", "response": "r"}])
    with pytest.raises(DataError, match="cannot be the system prompt as well"):
        read_examples(tmp_path / "d.jsonl", ColumnMapping(system_column="prompt"))


def test_a_layout_that_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "d.jsonl", [{"prompt": "p", "response": "r"}])
    for layout in ("alpaca", "sharegpt", "messages"):
        with pytest.raises(DataError, match='the columns are "prompt", "response"'):
            read_examples(tmp_path / "d.jsonl", ColumnMapping(layout=layout))
