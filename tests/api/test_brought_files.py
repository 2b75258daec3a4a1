"""Files that people bring: an upload, its check and the reader itself say the same, by the name that the file has."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gift_core.data.checking import summary_of
from gift_core.errors import DataError
from ui.connection import StudioError

BROUGHT = sorted((Path(__file__).parents[1] / "data" / "brought").iterdir())
OTHERS = {
    "damaged.parquet": b"PAR1" + bytes(100) + b"PAR1",
    "array.jsonl": b'[{"prompt": "p", "response": "r"}]',
    "columns.json": b'{"prompt": {"0": "p"}, "response": {"0": "r"}}',
    "empty.csv": b"prompt,response\n,\n",
    "excel.csv": b"sep=;\r\nprompt;response;\r\np;2,5;\r\n;;\r\n",
    "joined.csv": b"prompt,response\np,r\nprompt,response\nq,s\n",
}


@pytest.fixture(params=[path.name for path in BROUGHT] + list(OTHERS))
def path(request, tmp_path):
    target = tmp_path / request.param
    brought = {path.name: path for path in BROUGHT}.get(request.param)
    target.write_bytes(brought.read_bytes() if brought else OTHERS[request.param])
    return target


def outcome(ask):
    """The fingerprint of what was read, or the problems."""
    try:
        return ask().fingerprint
    except (DataError, StudioError) as error:
        return [(problem.message, problem.remedy) for problem in error.problems]


def test_an_upload_says_what_the_reader_says(client, path):
    read = outcome(lambda: summary_of([path]))
    if isinstance(read, list):
        # An upload is the only file there is to speak of.
        read = [(message.replace(path.name, "The file"), remedy) for message, remedy in read]
    assert outcome(lambda: client.upload(path, path.name)) == read
    listed = list(csv.reader(io.StringIO(client.check(path, path.name))))[1:]
    assert [(message, remedy) for _, message, remedy in listed] == (read if isinstance(read, list) else [])
    assert ".partial" not in str(listed)


def test_no_error_names_a_file_as_the_studio_does(client, tmp_path):
    (tmp_path / "mine.parquet").write_bytes(OTHERS["damaged.parquet"])
    for task in (None, "gsm8k", "sudoku4x4"):
        with pytest.raises(StudioError) as caught:
            client.upload(tmp_path / "mine.parquet", "mine.parquet", task)
        assert str(caught.value).startswith("data.source.dataset: The file is not a Parquet file") or task
        assert ".partial" not in str(caught.value)
    (tmp_path / "mine.json").write_text("[]")
    with pytest.raises(StudioError, match=r"The file has no rows\.") as caught:
        client.upload(tmp_path / "mine.json", "mine.json", "gsm8k")
    assert ".partial" not in str(caught.value)
