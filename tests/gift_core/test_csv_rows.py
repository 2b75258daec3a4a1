"""CSV as spreadsheets write it: separators, blank rows, columns without a name, byte order marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gift_core.data.files import read_examples
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError, Problem
from tests.gift_core.tables import write_csv

BROUGHT = Path(__file__).parents[1] / "data" / "brought"
MARK = "\ufeff"


def found(folder: Path, text: str) -> list[tuple[int, str, str]]:
    (folder / "d.csv").write_bytes(text.encode())
    return [(example.id, example.prompt, example.response) for example in read_examples(folder / "d.csv").examples]


def problem(folder: Path, text: str) -> Problem:
    with pytest.raises(DataError) as caught:
        found(folder, text)
    (only,) = caught.value.problems
    assert only.remedy
    return only


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("prompt;response\r\np;r\r\n", [(1, "p", "r")]),
        ('prompt;response\n"2,5;3";5,0\n', [(1, "2,5;3", "5,0")]),
        ("prompt;response;note, if any\np;r;n\n", [(1, "p", "r")]),
        ('"prompt";"response";"note, if any"\n"p";"r, s";"n"\n', [(1, "p", "r, s")]),
        ("prompt\tresponse\np, q\tr;s\n", [(1, "p, q", "r;s")]),
        ("prompt|response\np|r\n", [(1, "p", "r")]),
        ("prompt,response,a;b\np;q,r;s,x;y\n", [(1, "p;q", "r;s")]),
        ("sep=;\r\nprompt;response\r\np;r\r\n", [(1, "p", "r")]),
        ('"sep=;"\nprompt;response\np;r\n', [(1, "p", "r")]),
        (f"{MARK}sep=,\nprompt,response\np,r\n", [(1, "p", "r")]),
        ("sep=\t\nprompt\tresponse\np\tr\n", [(1, "p", "r")]),
        ('prompt;response\n"p\n;q";r\n', [(1, "p\n;q", "r")]),
        (f"{MARK}{MARK}prompt;response\np;r\n", [(1, "p", "r")]),
        (f'{MARK}"prompt","response"\n"p","r"\n', [(1, "p", "r")]),
        ("prompt,response\rp,r\r", [(1, "p", "r")]),
    ],
)
def test_the_header_says_what_separates_the_cells(tmp_path: Path, text: str, rows: list[tuple[int, str, str]]) -> None:
    assert found(tmp_path, text) == rows


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.fixed_dictionaries(dict.fromkeys(("prompt", "response", "note"), st.text(";,\t|\"\n'a1 ", max_size=8))),
        min_size=1,
        max_size=8,
    )
)
def test_the_separator_changes_nothing(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    usable = [row for row in rows if row["prompt"].strip() and row["response"].strip()]
    for separator in ",;\t|":
        write_csv(tmp_path / "d.csv", [{"prompt": "p", "response": "r", "note": ""}, *usable], separator)
        contents = read_examples(tmp_path / "d.csv")
        assert contents.columns == ["prompt", "response", "note"]
        assert [(e.prompt, e.response) for e in contents.examples[1:]] == [(r["prompt"], r["response"]) for r in usable]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("prompt,response\np,r\n,\n\n \t, \nq,s\n,,,,\n", [(1, "p", "r"), (5, "q", "s")]),
        ("prompt,response,,\np,r,,\n,,,\nq,s\nu,v,\n", [(1, "p", "r"), (3, "q", "s"), (4, "u", "v")]),
        (",prompt,response\n0,p,r\n1,q,s\n", [(1, "p", "r"), (2, "q", "s")]),
        (",,prompt,response\na,0,p,r\n", [(1, "p", "r")]),
        ("prompt,,response\np, ,r\n", [(1, "p", "r")]),
        ("\n,,\nprompt,response,\np,r,\n", [(1, "p", "r")]),
        (f"prompt,response{',' * 5000}\np,r{',' * 5000}\n", [(1, "p", "r")]),
    ],
    ids=range(7),
)
def test_what_a_spreadsheet_adds_is_passed_over(tmp_path: Path, text: str, rows: list[tuple[int, str, str]]) -> None:
    assert found(tmp_path, text) == rows


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("prompt,response,\np,r,\nq,s,oh\n", "row 2 (header not counted)", 'Cell 3 of the row has a value, "oh"'),
        ("prompt,,response\np,x,r\n", "row 1 (header not counted)", 'Cell 2 of the row has a value, "x"'),
        ("prompt,response\np,r\n\nq,s,t\n", "row 3 (header not counted)", "has 3 cells, but the header has 2"),
        ("prompt,response,note\np,r\n", "row 1 (header not counted)", "has 2 cells, but the header has 3"),
        ("prompt;response\np;r;s\n", "row 1 (header not counted)", "has 3 cells, but the header has 2"),
        ("prompt,response\np,r\nprompt,response\n", "row 2 (header not counted)", "repeats the header: two files"),
        (f"prompt,response\np,r\n{MARK}q,s\n", "row 2 (header not counted)", "Line 3 has a byte order mark"),
        (f'"prompt","response"\n"p\nq","r"\n{MARK}"q","s"\n', "row 2 (header not counted)", "Line 4 has a byte"),
        (f"sep=;\nprompt;response\np;r\n{MARK}q;s\n", "row 2 (header not counted)", "Line 4 has a byte order mark"),
        (f"prompt,{MARK}response\np,r\n", "header", 'The name of column "response" begins with a byte order mark'),
        ("prompt;response;prompt\np;r;q\n", "header", 'names the column "prompt" twice'),
        ('sep=;\nprompt;response\np;"r\n', "row 1 (header not counted)", "Line 3 is not CSV"),
    ],
)
def test_what_may_be_a_mistake_is_refused_where_it_is(tmp_path: Path, text: str, field: str, message: str) -> None:
    refused = problem(tmp_path, text)
    assert refused.field == field
    assert message in refused.message


def test_the_order_of_rows_does_not_choose_the_separator(tmp_path: Path) -> None:
    # Each separator splits the header in two; the rows are one cell each to a comma, but for the many.
    many, one = ["a, b;c"] * 30, ["d;e"]
    quoted = ['"a, b";"c"'] * 30
    for rows in ([*many, *one], [*one, *many], [*quoted, *one], [*one, *quoted]):
        path = tmp_path / "d.csv"
        path.write_text("\n".join(["question, in short;answer", *rows]))
        contents = read_examples(path, ColumnMapping(prompt_column="question, in short", response_column="answer"))
        assert {(e.prompt, e.response) for e in contents.examples} == {("a, b", "c"), ("d", "e")}


def test_the_remedy_names_the_separator(tmp_path: Path) -> None:
    assert (
        'contain semicolons or line breaks in double quotes: "a; b"'
        in problem(tmp_path, "prompt;response\np;r;s\n").remedy
    )


def test_a_short_row_is_completed_by_empty_cells(tmp_path: Path) -> None:
    assert "empty cells" in problem(tmp_path, "prompt,response,note\np,r\n").remedy
    assert found(tmp_path, "prompt,response,note\np,r,\n") == [(1, "p", "r")]


def test_capitals_in_the_line_that_names_the_separator_make_no_difference(tmp_path: Path) -> None:
    assert found(tmp_path, "SEP=;\nprompt;response\np;1,5\n") == [(1, "p", "1,5")]


@pytest.mark.parametrize("text", ['prompt, response\n"a, b", "c, d"\n', '"prompt", "response"\n"a, b", "c, d"\n'])
def test_a_blank_after_each_separator_is_no_part_of_a_cell(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == [(1, "a, b", "c, d")]


def test_blanks_around_a_name_are_no_part_of_it(tmp_path: Path) -> None:
    assert found(tmp_path, "prompt ,\tresponse\n a, b\n") == [(1, " a", " b")]
    with pytest.raises(DataError, match='names the column "prompt" twice'):
        found(tmp_path, "prompt,prompt ,response\na,b,c\n")


def test_nan_in_csv_is_the_text_that_was_typed(tmp_path: Path) -> None:
    assert found(tmp_path, "prompt,response\nWhat is 0/0?,NaN\n") == [(1, "What is 0/0?", "NaN")]


def test_the_spreadsheets_that_were_brought() -> None:
    (first, second) = read_examples(BROUGHT / "semicolon.csv").examples
    assert (first.prompt, first.response) == ("Wie viel ist 2,5 plus 2,5?", "5,0")
    assert (second.prompt, second.response) == ("Nenne eine Farbe.", "Blau, zum Beispiel")
    contents = read_examples(BROUGHT / "excel-trailing.csv")
    assert contents.columns == ["prompt", "response"]
    assert [(e.id, e.response) for e in contents.examples] == [(1, "Blue"), (2, "Crow")]
