"""JSON whose rows are wrapped in another form, repeated names, and rows after a NaN."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gift_core.data import formats
from gift_core.data.files import read_examples
from gift_core.data.formats import json_value
from gift_core.errors import DataError, Problem

BROUGHT = Path(__file__).parents[1] / "data" / "brought"
MARK = "\ufeff"
ROW = '{"prompt": "p", "response": "r"}'
TALK = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'


def problems(path: Path, text: str | None = None) -> list[Problem]:
    if text is not None:
        path.write_bytes(text.encode())
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert all(problem.remedy for problem in caught.value.problems)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.jsonl", f"[{ROW}]", "The file is a JSON array, though it is named .jsonl."),
        ("d.ndjson", f"\n [{ROW},\n{ROW}]", "The file is a JSON array, though it is named .ndjson."),
        ("d.jsonl", f"[{ROW},\n{ROW}]", "The file is a JSON array, though it is named .jsonl."),
        ("d.jsonl", json.dumps([json.loads(ROW)], indent=2), "The file is a JSON array, though it is named .jsonl."),
        ("d.jsonl", json.dumps(json.loads(ROW), indent=2), "The first object takes several lines"),
        ("d.jsonl", '{"prompt": "p",\n "response": "r"}\n', "The first object takes several lines"),
        ("d.jsonl", f'{{"data": [\n{ROW},\n{ROW}\n]}}', "The first object takes several lines"),
        ("d.jsonl", f'{{"data": [{ROW}, {ROW}], "version": 1}}', 'The rows are under "data".'),
        ("d.jsonl", '{"prompt": ["p"], "response": ["r"]}', "The file has one list for each column"),
        ("d.jsonl", "prompt,response\np,r\n", "The file looks like CSV, though it is named .jsonl."),
        ("d.json", "prompt;response\np;r\n", "The file looks like CSV, though it is named .json."),
        ("d.json", f"{ROW}\n{ROW}", "The file is not a JSON array. It has one object after another."),
        ("d.json", f"{MARK}{ROW}", "The file is not a JSON array. It is one object."),
        ("d.json", f'{{"messages": {TALK}}}', "The file is not a JSON array. It is one object."),
        ("d.json", f'{{"prompt": {TALK}, "completion": {TALK}}}', "The file is not a JSON array. It is one object."),
        ("d.json", f'{{"data": [{ROW}], "version": 1}}', 'The rows are under "data".'),
        ("d.json", f'{{"version": {{"a": [1]}}, "rows": [{ROW}]}}', 'The rows are under "rows".'),
        ("d.json", f'{{"features": [{{"name": "x"}}], "rows": [{ROW}]}}', 'The rows are under "rows".'),
        ("d.json", f'{{"train": [{ROW}], "test": [{ROW}]}}', 'The rows are under "train" and "test".'),
        ("d.json", f'{{"instances": [{ROW}]}}', 'The rows are under "instances".'),
        ("d.json", f'{{"my list": [{ROW}]}}', 'The rows are under "my list".'),
        ("d.json", '{"prompt": ["p"], "response": ["r"]}', 'one list for each column ("prompt", "response")'),
        ("d.json", '{"prompt": {"0": "p"}, "response": {"0": "r"}}', 'one object for each column ("prompt"'),
        ("d.json", f'{{"0": {ROW}, "1": {ROW}}}', 'The rows are under names of their own ("0", "1")'),
        ("d.json", '{"columns": ["prompt"], "index": [0], "data": [["p"]]}', 'and the rows under "data".'),
        ("d.json", f'{{"data": [{ROW}, ', "not JSON: Expecting value at column"),
    ],
)  # fmt: skip
def test_a_wrong_wrapping_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (problem,) = problems(tmp_path / name, text)
    assert message in problem.message


def test_a_wrapped_file_of_any_length_is_named(tmp_path: Path) -> None:
    rows = ",\n".join([ROW] * 5000)
    assert len(rows) > 2 * formats._PIECE
    (problem,) = problems(tmp_path / "d.json", f'{{"version": 2, "data": [{rows}], "test": [{ROW}]}}')
    assert problem.message == 'The rows are under "data" and "test".'
    many = json.dumps({str(n): json.loads(ROW) for n in range(5000)})
    assert "names of their own" in problems(tmp_path / "d.json", many)[0].message


@pytest.mark.parametrize(
    "text",
    [
        ROW,
        '{"prompt": "p", "response": "r", "sources": [{"name": "x"}]}',
        '{"prompt": "p", "response": "r", "scores": [1, 2], "meta": {"a": {"b": []}}}',
        f'{{"messages": {TALK}}}',
        f'{{"prompt": {TALK[:-1].rsplit(", {", 1)[0]}], "completion": [{{"role": "assistant", "content": "r"}}]}}',
    ],
)
def test_a_single_row_is_a_row(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.jsonl").write_text(text)
    (tmp_path / "d.json").write_text(f"[{text}]")
    assert read_examples(tmp_path / "d.jsonl").examples == read_examples(tmp_path / "d.json").examples


def test_one_list_is_not_taken_for_columns(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "d.jsonl", '{"messages": ["a", "b"]}')
    assert problem.field == "row 1"


def test_a_damaged_first_row_is_one_bad_row(tmp_path: Path) -> None:
    for first in ('{"prompt": "p", "response": "r"', '{"prompt": "p", "resp', "prompt", "{'prompt': 'p'}"):
        (problem,) = problems(tmp_path / "d.jsonl", f"{first}\n{ROW}\n{ROW}\n")
        assert problem.field == "row 1"
        assert problem.message.startswith("The row is not JSON")


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("d.jsonl", f"{ROW}\n{MARK}{ROW}\n{ROW}\n", "row 2"),
        ("d.jsonl", f"{ROW}{MARK}{ROW}\n{ROW}\n", "row 1"),
        ("d.json", f"[{ROW}]\n{MARK}[{ROW}]", "row 2"),
        ("d.json", f"[{ROW}]\n[{ROW}]", "row 2"),
    ],
)
def test_files_that_were_joined_are_named(tmp_path: Path, name: str, text: str, field: str) -> None:
    (problem,) = problems(tmp_path / name, text)
    assert problem.field == field
    assert "line" in problem.message.lower()
    assert "wo files were joined" in problem.message


def test_a_mark_that_was_written_twice_at_the_start_is_passed_over(tmp_path: Path) -> None:
    for name, text in (("d.jsonl", ROW), ("d.json", f"[{ROW}]")):
        (tmp_path / name).write_text(f"{MARK}{MARK}{text}", "utf-8")
        assert len(read_examples(tmp_path / name).examples) == 1


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ('{"prompt": "p", "response": "r", "prompt": "q"}', "prompt"),
        ('{"prompt": "p", "response": "r", "id": 1, "id": 1}', "id"),
        ('{"prompt": "p", "response": "r", "meta": [{"a": {"b": 1, "b": 2}}]}', "b"),
        ('{"messages": [{"role": "user", "role": "system", "content": "x"}]}', "role"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_one_name_is_one_column(tmp_path: Path, suffix: str, row: str, name: str) -> None:
    other = '{"prompt": "p", "messages": 1}' if "messages" in row else '{"prompt": "p", "response": ""}'
    text = f"{row}\n{other}" if suffix == ".jsonl" else f"[{row}, {other}]"
    first, second = problems(tmp_path / f"d{suffix}", text)
    assert (first.field, first.message) == ("row 1", f'The name "{name}" occurs twice in one object.')
    # What follows is read too.
    assert second.field == "row 2"


def test_the_files_that_were_brought() -> None:
    (problem,) = problems(BROUGHT / "two-keys.jsonl")
    assert (problem.field, problem.message) == ("row 1", 'The name "prompt" occurs twice in one object.')
    (problem,) = problems(BROUGHT / "dup-key-in-message.jsonl")
    assert (problem.field, problem.message) == ("row 1", 'The name "content" occurs twice in one object.')
    (problem,) = problems(BROUGHT / "bom-in-the-middle.jsonl")
    assert problem.message.startswith("Line 2 has a byte order mark")
    assert problem.message.endswith("two files were joined.")
    (problem,) = problems(BROUGHT / "wrapped-in-data.json")
    assert problem.message == 'The rows are under "data".'
    (problem,) = problems(BROUGHT / "nan-array.json")
    assert (problem.field, problem.message) == ("row 3", 'The response (column "response") is missing.')


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_missing_where_it_is_read_and_nothing_where_it_is_not(tmp_path: Path, word: str) -> None:
    unread = f'{{"prompt": "p", "response": "r", "score": {word}, "more": [{{"x": {word}}}], "system": {word}}}'
    for name, text in (("d.jsonl", f"{unread}\n{ROW}"), ("d.json", f"[{unread}, {ROW}]")):
        (tmp_path / name).write_text(text)
        assert [example.history for example in read_examples(tmp_path / name).examples] == [(), ()]
        (problem,) = problems(tmp_path / name, text.replace('"r"', word, 1))
        assert (problem.field, problem.message) == ("row 1", 'The response (column "response") is missing.')


def test_json_in_a_text_is_read_as_rows_are() -> None:
    assert json_value('[{"a": 1.10, "b": NaN}, null]') == [{"a": "1.10", "b": None}, None]
    for text, message in (
        ('[{"a": 1, "a": 2}]', 'The name "a" occurs twice in one object.'),
        ("[{'a': 1}]", "The text is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 40 + "]" * 40, "nested too deeply"),
    ):
        with pytest.raises(DataError, match=message.replace(".", r"\.")):
            json_value(text)


@pytest.mark.parametrize("name", ["test", "data", "items"])
def test_the_only_row_of_a_file_may_hold_objects_in_a_column_that_is_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"prompt": "p", "response": "r", name: [{"x": 1}]}) + "\n")
    found = read_examples(path)
    assert found.columns == ["prompt", "response", name]
    assert [(example.prompt, example.response) for example in found.examples] == [("p", "r")]
