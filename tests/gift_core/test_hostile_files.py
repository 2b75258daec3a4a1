"""Files that are not what they are called, or that were made to fill the memory: refused, and said why."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from gift_core.data import files, formats, texts
from gift_core.data import parquet as parquet_files
from gift_core.data.checking import all_problems
from gift_core.data.files import SUFFIXES, read_examples
from gift_core.errors import DataError, Problem

ROW = {"prompt": "p", "response": "r"}
LINE = json.dumps(ROW) + "\n"


def problem_of(path: Path, content: bytes | str) -> Problem:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    problem = caught.value.problems[-1]
    assert problem.remedy
    return problem


def parquet_bytes(rows: list[dict[str, object]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr(zipfile.ZipInfo("rows.jsonl"), LINE)
    else:
        with tarfile.open(fileobj=file, mode="w") as packed:
            packed.addfile(tarfile.TarInfo("rows.jsonl"), io.BytesIO())
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(LINE.encode(), mtime=0), "a gzip archive"),
        (archive("zip"), "a zip archive"),
        (archive("tar"), "a tar archive"),
        (b"\x7fELF\x02\x01\x01" + bytes(9), "a program"),
        (b"MZ\x90\x00\x03", "a program"),
        (b"#!/bin/sh\nrm -r data\n", "a script"),
        (b"SQLite format 3\0", "an SQLite database"),
        (LINE.encode("utf-16"), "UTF-16 text"),
        (LINE.encode("utf-16-le"), "UTF-16 text"),
        (LINE.encode("utf-16-be"), "UTF-16 text"),
        (LINE.encode("utf-32"), "UTF-32 text"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_known_by_its_content(tmp_path: Path, suffix: str, content: bytes, kind: str) -> None:
    problem = problem_of(tmp_path / f"d{suffix}", content)
    assert kind in problem.message
    assert problem.field == "data.source.dataset"


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".parquet"])
def test_parquet_under_another_name_is_told_so(tmp_path: Path, suffix: str) -> None:
    problem = problem_of(tmp_path / f"d{suffix}", parquet_bytes([ROW]))
    assert problem.message == f"The file is Parquet, though it is named {suffix}."
    assert ".parquet" in problem.remedy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.parquet", LINE, "it does not begin like one"),
        ("d.parquet", b"PAR1" + bytes(100) + b"PAR1", "is not a Parquet file that can be read"),
        ("d.parquet", parquet_bytes([ROW])[:-9], "is not a Parquet file that can be read"),
        ("d.csv", LINE, "The file is JSON, though it is named .csv."),
        ("d.jsonl", "[\n" + json.dumps(ROW) + "\n]\n", "The file is a JSON array, though it is named .jsonl."),
        ("d.jsonl", LINE + "\0", "Byte 34 of the file is NUL"),
    ],
)
def test_the_name_and_the_content_must_agree(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    assert message in problem_of(tmp_path / name, content).message


def test_a_line_without_end_is_one_bad_row_and_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "LONGEST_ROW", 1000)
    path = tmp_path / "d.jsonl"
    path.write_text(LINE + '{"prompt": "' + "x" * 8_000_000 + "\n" + LINE)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read_examples(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(p.field, p.message) for p in caught.value.problems] == [
        ("row 2", "The line has more than 1,000 characters.")
    ]
    assert peak < 1_000_000


def test_a_json_array_is_read_in_pieces(tmp_path: Path) -> None:
    rows = [{"prompt": f'{number} "[{{,\\', "response": "ü" * (number % 300)} for number in range(1, 3000)]
    path = tmp_path / "d.json"
    path.write_text(json.dumps([row | {"response": row["response"] or "-"} for row in rows], indent=1), "utf-8")
    assert path.stat().st_size > 5 * formats._PIECE
    assert [example.prompt for example in read_examples(path).examples] == [row["prompt"] for row in rows]
    # The place of a mistake is that in the file, not in the piece that was read.
    text = path.read_text("utf-8")
    path.write_text(text[:-1] + "!", "utf-8")
    assert problem_of(path, path.read_bytes()).message.endswith(f"at line {text.count(chr(10)) + 1}, column 1.")


def test_a_json_row_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "LONGEST_ROW", 70_000)
    content = json.dumps([ROW, {"prompt": "x" * 400_000, "response": "r"}])
    problem = problem_of(tmp_path / "d.json", content)
    assert (problem.field, problem.message) == ("row 2", "The row has more than 70,000 characters.")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_deep_nesting_is_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    nested: object = "x"
    for _ in range(40):
        nested = [nested]
    rows = [ROW | {"extra": [["fine"]]}, ROW | {"extra": nested}]
    if suffix == ".parquet":
        content: bytes | str = parquet_bytes([ROW | {"extra": nested}] * 2)
    else:
        content = "".join(map(json.dumps, rows)) if suffix == ".jsonl" else json.dumps(rows)
        content = content.replace("}{", "}\n{") if suffix == ".jsonl" else content
    problem = problem_of(tmp_path / f"d{suffix}", content)
    assert (problem.field, problem.message) == ("row 2", "The row is nested too deeply.")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", ",".join(map(str, range(1001))) + "\n1,2\n", "The header has 1,001 columns; the most is 1,000."),
        ("d.csv", f"prompt,response\n{',' * 2_000_001}\n", "has more than 2,000,000 characters"),
        ("d.csv", f"prompt,response\na,{'b' * 131_073}\n", "field larger than field limit"),
        ("d.jsonl", json.dumps({str(n): "" for n in range(1001)}), "The row has 1,001 columns; the most is 1,000."),
    ],
)
def test_rows_of_too_much_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    assert message in problem_of(tmp_path / name, content).message


def test_a_text_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST_TEXT", 3)
    problem = problem_of(tmp_path / "d.jsonl", json.dumps({"prompt": "four", "response": "r"}))
    assert problem.message == 'The prompt (column "prompt") has 4 characters; the most is 3.'


def test_more_rows_than_are_taken_in_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_ROWS", 200)
    assert problem_of(tmp_path / "d.jsonl", LINE * 201).message == "The file has more than 200 rows."
    (tmp_path / "d.jsonl").write_text(LINE * 200)
    assert len(read_examples(tmp_path / "d.jsonl").examples) == 200


def test_what_a_parquet_file_would_unpack_to_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four megabytes of equal letters in some kilobytes, as a bomb is made.
    content = parquet_bytes([{"prompt": "p" * 4_000_000, "response": str(n)} for n in range(2)])
    assert len(content) < 500_000
    monkeypatch.setattr(parquet_files, "LARGEST_ROW_GROUP", 1_000_000)
    assert "bytes in one group of rows, unpacked" in problem_of(tmp_path / "d.parquet", content).message


def test_values_of_parquet_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    table = {"prompt": ["p", "q"], "response": [b"\x00", None]}
    parquet.write_table(pyarrow.table(table), path)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert [problem.message for problem in caught.value.problems] == [
        'The response (column "response") is binary data, not text.',
        'The response (column "response") is missing.',
    ]
    parquet.write_table(pyarrow.table({"prompt": np.arange(2), "response": [1.5, 2.5]}), path)
    assert [(e.prompt, e.response) for e in read_examples(path).examples] == [("0", "1.5"), ("1", "2.5")]


def test_all_problems_are_all_of_them_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(LINE if number % 3 else "{}\n" for number in range(1, 1501)))
    found = list(all_problems([path]))
    assert [problem.field for problem in found] == [f"row {number}" for number in range(3, 1501, 3)]
    path.write_text(LINE)
    assert list(all_problems([path])) == []
    assert [p.message for p in all_problems([tmp_path / "gone.csv"])] == [
        "gone.csv cannot be read: No such file or directory."
    ]
