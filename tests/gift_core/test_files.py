import csv
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gift_core.data.examples import Example, Turn
from gift_core.data.files import SUFFIXES, read_examples
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError, Problem

SHARED = Path(__file__).parents[3] / "shared" / "data"
USER = {"role": "user", "content": "hi"}
ASSISTANT = {"role": "assistant", "content": "hello"}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems(path: Path, **columns: str) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read_examples(path, ColumnMapping(**columns))
    return list(caught.value.problems)


def only_problem(path: Path, **columns: str) -> Problem:
    (problem,) = problems(path, **columns)
    assert problem.remedy
    return problem


@pytest.mark.parametrize(
    ("row", "columns", "prompt", "response"),
    [
        ({"messages": [USER, ASSISTANT]}, ("messages", "messages"), "hi", "hello"),
        (
            {"messages": [{"role": "system", "content": "Be kind."}, USER, ASSISTANT]},
            ("messages", "messages"),
            "Be kind.|hi",
            "hello",
        ),
        ({"messages": [USER, ASSISTANT, USER, ASSISTANT, USER]}, ("messages", "messages"), "hi|hello|hi", "hello"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, ASSISTANT]},
            ("messages", "messages"),
            "hi",
            "hello",
        ),
        (
            {"system": "Be kind.", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "o"}]},
            ("conversations", "conversations"),
            "Be kind.|hi",
            "o",
        ),
        (
            {"instruction": "Add.", "input": "1 2", "output": "3", "system": "Sums."},
            ("instruction", "output"),
            "Sums.|Add.\n\n1 2",
            "3",
        ),
        ({"prompt": "p", "response": "r", "system": None}, ("prompt", "response"), "p", "r"),
        (
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
            ("conversations", "conversations"),
            "hi",
            "hello",
        ),
        (
            {"instruction": "Add.", "input": "1 2", "output": "3"},
            ("instruction", "output"),
            "Add.\n\n1 2",
            "3",
        ),
        ({"instruction": "Hi.", "input": "", "output": "Ho."}, ("instruction", "output"), "Hi.", "Ho."),
        ({"instruction": "Hi.", "output": "Ho."}, ("instruction", "output"), "Hi.", "Ho."),
        ({"prompt": "p", "response": "r", "answer": "a"}, ("prompt", "response"), "p", "r"),
        ({"prompt": "p", "completion": "c"}, ("prompt", "completion"), "p", "c"),
        ({"question": "q", "answer": "a"}, ("question", "answer"), "q", "a"),
        ({"problem": "p", "solution": "s", "answer": "a"}, ("problem", "solution"), "p", "s"),
        ({"input": "i", "output": "o"}, ("input", "output"), "i", "o"),
    ],
)
def test_layouts_are_found_by_name(
    tmp_path: Path, row: dict[str, Any], columns: tuple[str, str], prompt: str, response: str
) -> None:
    path = lines(tmp_path / "data.jsonl", row)
    contents = read_examples(path)
    assert (contents.layout.prompt, contents.layout.response) == columns
    (example,) = contents.examples
    assert (example.id, example.response) == (1, response)
    assert "|".join([*(turn.text for turn in example.history), example.prompt]) == prompt
    # Choosing what was found changes nothing.
    chosen = ColumnMapping(layout=contents.layout.name, prompt_column=columns[0], response_column=columns[1])
    assert read_examples(path, chosen) == contents


def test_the_same_rows_read_alike_in_every_format(tmp_path: Path) -> None:
    rows = [{"prompt": "a, b", "response": 'say "x"\nand y'}, {"prompt": "ü 数独", "response": "z"}]
    with (tmp_path / "d.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "response"])
        writer.writeheader()
        writer.writerows(rows)
    written(tmp_path / "d.json", json.dumps(rows, indent=2))
    lines(tmp_path / "d.jsonl", *rows)
    lines(tmp_path / "d.NDJSON", *rows)
    contents = [read_examples(tmp_path / name) for name in ("d.csv", "d.json", "d.jsonl", "d.NDJSON")]
    assert contents[0].examples == [Example(n, r["prompt"], r["response"]) for n, r in enumerate(rows, 1)]
    assert all(other == contents[0] for other in contents[1:])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.jsonl", '{"prompt": "p", "response": "r"}'),
        ("d.json", '[{"prompt": "p", "response": "r"}]'),
        ("d.csv", "prompt,response\r\np,r\r\n"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str, text: str) -> None:
    contents = read_examples(written(tmp_path / name, b"\xef\xbb\xbf" + text.encode()))
    assert contents.columns == ["prompt", "response"]


def test_numbers_are_read_as_the_text_that_stands_there(tmp_path: Path) -> None:
    huge = "9" * 10_000
    text = f'{{"prompt": 7, "response": 1.10}}\n{{"prompt": "p", "response": {huge}}}'
    examples = read_examples(written(tmp_path / "d.jsonl", text)).examples
    assert [(e.prompt, e.response) for e in examples] == [("7", "1.10"), ("p", huge)]


def test_an_example_keeps_its_line_number_across_blank_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", '\n{"prompt": "p", "response": "r"}\r\n\n{"prompt": "q", "response": "s"}')
    assert [example.id for example in read_examples(path).examples] == [2, 4]


def test_named_columns_win(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", {"prompt": "p", "response": "r", "task": "t", "answer": "a"})
    for columns, expected in (
        ({"prompt_column": "task", "response_column": "answer"}, Example(1, "t", "a")),
        ({"prompt_column": "task"}, Example(1, "t", "r")),
        ({"response_column": "answer"}, Example(1, "p", "a")),
        ({"system_column": "task"}, Example(1, "p", "r", (Turn("system", "t"),))),
    ):
        assert read_examples(path, ColumnMapping(**columns)).examples == [expected]


def test_a_named_column_that_is_missing_is_named_beside_those_there_are(tmp_path: Path) -> None:
    path = lines(tmp_path / "d.jsonl", {"prompt": "p", "response": "r"})
    found = problems(path, prompt_column="promt", response_column="reply")
    assert [p.field for p in found] == ["data.source.prompt_column", "data.source.response_column"]
    assert found[0].message == 'There is no column "promt"; the columns are "prompt", "response".'


def test_columns_that_fit_no_layout_are_listed_with_the_layouts(tmp_path: Path) -> None:
    problem = only_problem(lines(tmp_path / "d.jsonl", {"text": "t", "label": 1}))
    assert '"text", "label"' in problem.message
    assert "question and answer" in problem.remedy


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p"}, 'The response (column "response") is missing.'),
        ({"prompt": "p", "response": None}, "is missing"),
        ({"prompt": " \n", "response": "r"}, 'The prompt (column "prompt") is empty.'),
        ({"prompt": "p", "response": True}, "is true or false, not text"),
        ({"prompt": ["p"], "response": "r"}, "is a list, not text"),
        ({"prompt": "p", "response": "\ud800"}, "surrogate"),
        ({"prompt": "p", "response": "a\0b"}, "NUL"),
        (["p", "r"], "The row is a list, not an object."),
        (42, "The row is text, not an object."),
        (None, "The row is null, not an object."),
    ],
)
def test_an_unusable_row_is_named(tmp_path: Path, row: object, message: str) -> None:
    good = {"prompt": "p", "response": "r"}
    problem = only_problem(lines(tmp_path / "d.jsonl", good, good, row, good))
    assert problem.field == "row 3"
    assert message in problem.message
    # What is wrong must reach the browser.
    json.dumps(problem.as_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hi", "is not a list of messages"),
        ([], "is not a list of messages"),
        (["hi"], "The speaker of message 1"),
        ([{"role": ["user"], "content": "hi"}], "The speaker of message 1"),
        ([USER, {"role": "tool", "content": "x"}], 'Message 2 of column "messages" is from "tool"'),
        ([USER, {"role": "judge", "content": "x"}], 'The speaker of message 2 of column "messages", "judge", is not'),
        ([{"role": "user", "content": []}, ASSISTANT], 'The text of message 1 of column "messages" is empty.'),
        ([USER, {"role": "assistant"}], 'The text of message 2 of column "messages" is missing.'),
        ([USER], "no message of the assistant"),
        ([ASSISTANT], "does not answer a message of the user"),
        ([USER, ASSISTANT, ASSISTANT], "does not answer a message of the user"),
        ([USER, {"role": "system", "content": "x"}, USER, ASSISTANT], "a system message after the first message"),
        (
            [{"role": "user", "content": [{"type": "image"}]}, ASSISTANT],
            'Part 1 of message 1 of column "messages" is image',
        ),
        ([USER, ASSISTANT] * 501, "has 1,002 messages; the most is 1,000"),
    ],
)
def test_an_unusable_conversation_is_named(tmp_path: Path, messages: object, message: str) -> None:
    problem = only_problem(lines(tmp_path / "d.jsonl", {"messages": [USER, ASSISTANT]}, {"messages": messages}))
    assert problem.field == "row 2"
    assert message in problem.message


def test_every_bad_row_is_reported_up_to_twenty_and_the_rest_counted(tmp_path: Path) -> None:
    rows: list[dict[str, str]] = [{"prompt": "p", "response": "r"}, *[{"prompt": "p"}] * 152]
    found = problems(lines(tmp_path / "d.jsonl", *rows))
    assert [problem.field for problem in found[:20]] == [f"row {n}" for n in range(2, 22)]
    assert found[20:] == [Problem("and 132 more rows.", remedy="`gift check-data` lists all of them.")]


@pytest.mark.parametrize(
    ("name", "content", "field", "message"),
    [
        ("d.jsonl", "", "data.source.dataset", "The file is empty."),
        ("d.csv", "", "data.source.dataset", "The file is empty."),
        ("d.jsonl", "\n \n", "", "The file has no rows."),
        ("d.json", " [ ] ", "", "The file has no rows."),
        ("d.csv", "prompt,response\n", "", "The file has no rows."),
        ("d.jsonl", b'{"prompt": "p"}\n{"prompt": "M\xfcller"}', "line 2", "Byte 30 of the file (0xfc)"),
        ("d.jsonl", b"ok\n\xff", "line 2", "Byte 4 of the file (0xff) is not UTF-8"),
        ("d.jsonl", b"a" * 65_535 + "é".encode() + b"\n\xc3", "line 2", "Byte 65,539 of the file (0xc3)"),
        ("d.csv", b"prompt,response\np,\0", "line 2", "Byte 19 of the file is NUL"),
        ("d.jsonl", "prompt: p", "row 1", "The row is not JSON: Expecting value at column 1."),
        ("d.jsonl", '{"prompt": "p", "response": NaN}', "row 1", 'The response (column "response") is missing.'),
        ("d.jsonl", "[" * 10**6, "row 1", "nested too deeply"),
        ("d.json", "[" * 10**6, "row 1", "nested too deeply"),
        ("d.json", '{"prompt": "p"}', "", "The file is not a JSON array."),
        ("d.json", " ", "", "The file has no rows."),
        ("d.jsonl", '{"prompt": "p"', "row 1", "The row is not JSON: Expecting ',' delimiter at column 15."),
        ("d.jsonl", '{"prompt": "p"\n', "row 1", "The row is not JSON: Expecting ',' delimiter at column 15."),
        ("d.jsonl", '{"prompt": "p', "row 1", "The row is not JSON: Unterminated string starting at column 12."),
        ("d.jsonl", '{"prompt": "p"},\n', "row 1", "The row ends in a comma."),
        ("d.json", '[{"prompt": "p\tq"}]', "row 1", "The row is not JSON: Invalid control character at column 15."),
        ("d.json", "[1,\n 2", "row 3", "Expecting , or ] at line 2, column 3."),
        ("d.json", "[] []", "row 1", "Expecting nothing after the array at column 4."),
        ("d.csv", "prompt,prompt\np,r", "header", 'names the column "prompt" twice'),
        ("d.csv", "prompt,response\np,r,s", "row 1 (header not counted)", "has 3 cells, but"),
        ("d.csv", 'prompt,response\np,r\np,"r', "row 2 (header not counted)", "Line 3 is not CSV"),
        ("d.csv", f"prompt,response\np,{'r' * 200_000}", "row 1 (header not counted)", "field limit"),
        ("d.parquet", "PAR1", "data.source.dataset", "d.parquet is not a Parquet file that can be read"),
        ("d.xlsx", "PK", "data.source.dataset", "d.xlsx is not a kind of file that can be read."),
    ],
)  # fmt: skip
def test_an_unusable_file_is_refused(tmp_path: Path, name: str, content: str | bytes, field: str, message: str) -> None:
    # In "[1,\n 2" the rows themselves are refused too; the last problem is the file's.
    problem = problems(written(tmp_path / name, content))[-1]
    assert problem.field == field
    assert message in problem.message
    assert problem.remedy


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "No such file" in only_problem(tmp_path / "gone.jsonl").message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(suffix=st.sampled_from(SUFFIXES), content=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    assert_read_or_refused(written(tmp_path / f"d{suffix}", content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "prompt", "response", "role", "content", "\ud800"]), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(JSON, max_size=4))
def test_arbitrary_json_is_read_or_refused(tmp_path: Path, rows: list[object]) -> None:
    assert_read_or_refused(lines(tmp_path / "d.jsonl", *rows))
    assert_read_or_refused(written(tmp_path / "d.json", json.dumps(rows)))


def assert_read_or_refused(path: Path) -> None:
    """Anything but a `DataError` that can be shown, or examples that can be used, fails."""
    try:
        examples = read_examples(path).examples
    except DataError as error:
        str(error).encode()
    else:
        assert all(example.prompt.strip() and example.response.strip() for example in examples)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reading_takes_memory_in_proportion_to_the_file(tmp_path: Path, suffix: str) -> None:
    row = {"prompt": "p" * 500, "response": "r" * 500}
    path = tmp_path / f"d{suffix}"
    if suffix == ".csv":
        path.write_text("prompt,response\n" + f"{row['prompt']},{row['response']}\n" * 4000)
    elif suffix == ".json":
        path.write_text(json.dumps([row] * 4000))
    elif suffix == ".parquet":
        rows = [{"prompt": f"{n}{'p' * 500}", "response": f"{n}{'r' * 500}"} for n in range(4000)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), path, compression="none", use_dictionary=False)
    else:
        lines(path, *[row] * 4000)
    tracemalloc.start()
    try:
        read_examples(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * path.stat().st_size


@pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not beside the repository")
def test_real_gsm8k_rows() -> None:
    contents = read_examples(SHARED / "gsm8k_train.jsonl")
    assert (contents.layout.prompt, contents.layout.response) == ("question", "answer")
    assert len(contents.examples) == 7473
    assert contents.examples[0].prompt.startswith("Natalia sold clips to 48 of her friends")
    assert contents.examples[0].response.endswith("#### 72")
