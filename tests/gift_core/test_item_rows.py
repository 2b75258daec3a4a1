"""Lists of problems from files and from a small Hub on this machine, read with the real clients."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import huggingface_hub.constants
import pyarrow
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from pyarrow import parquet

from gift_core.data.files import read_examples
from gift_core.errors import DataError, SpecError
from gift_core.tasks.items import FileItems, GeneratedItems, HubItems, Item, fingerprint
from gift_core.tasks.registry import EVALUATION_TASKS
from tests.serving import serve

DATA = Path(__file__).parents[1] / "data"
GSM8K, MATH = EVALUATION_TASKS["gsm8k"], EVALUATION_TASKS["math500"]
COMMIT = "c0ffee" * 6 + "c0ff"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / f"{name}_sample.jsonl").read_text("utf-8").splitlines()]


def listed(path: Path, first: int | None = None) -> list[Item]:
    return GSM8K.items(FileItems(path=path, first=first))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_list_is_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(rows("gsm8k")), tmp_path / "a.parquet")
    array = written(tmp_path, "a.json", json.dumps(rows("gsm8k")))
    lists = [listed(path) for path in (DATA / "gsm8k_sample.jsonl", array, tmp_path / "a.parquet")]
    assert len({fingerprint(items) for items in lists}) == 1
    assert len({item.id for item in lists[0]}) == 20
    assert lists[0][3].id == "gsm8k/3"
    assert lists[0][0].expected == "18"
    assert "ducks lay 16 eggs" in lists[0][0].prompt
    assert r"\boxed{" in lists[0][0].prompt
    assert lists[0][0].prefill == "<reasoning>\n"


def test_the_first_items_are_the_start_of_the_list() -> None:
    items = listed(DATA / "gsm8k_sample.jsonl")
    few = listed(DATA / "gsm8k_sample.jsonl", first=5)
    assert few == items[:5]
    assert fingerprint(few) != fingerprint(items)


def test_every_unusable_row_is_named(tmp_path: Path) -> None:
    lines = [
        '{"question": "a", "answer": "so #### 7"}',
        "7",
        '{"question": "a", "answer": "#### none"}',
        '{"question": "", "answer": "#### 7"}',
        '{"problem": "a", "answer": "7"}',
        "{",
    ]
    with pytest.raises(DataError) as caught:
        listed(written(tmp_path, "a.jsonl", "\n".join(lines)))
    assert [problem.field for problem in caught.value.problems] == [f"row {number}" for number in range(2, 7)]
    assert all(problem.remedy for problem in caught.value.problems)
    assert 'no column "question"; it has "problem", "answer"' in str(caught.value)


def test_numbers_of_parquet_and_json_are_read_as_text(tmp_path: Path) -> None:
    row = {"question": "What is 2 + 2?", "answer": 4}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    for path in (tmp_path / "a.parquet", written(tmp_path, "a.jsonl", json.dumps(row))):
        assert [item.expected for item in listed(path)] == ["4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"x", "not a kind of file"),
        ("a.parquet", b"no parquet", "not a Parquet file"),
        ("a.parquet", b"", "empty"),
        ("a.jsonl", b"", "empty"),
        ("a.json", b"[]", "has no rows"),
        ("b.parquet", None, "cannot be read"),
        ("b.jsonl", None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        listed(path)
    assert caught.value.problems[0].remedy


def test_sources_that_a_task_does_not_have_are_refused() -> None:
    for name, source in (
        ("gsm8k", GeneratedItems()),
        ("math500", GeneratedItems()),
        ("sudoku", HubItems()),
        ("algebra", FileItems(path=Path("a.jsonl"))),
        ("countdown3", HubItems()),
        ("sudoku4x4", HubItems()),
    ):
        with pytest.raises(SpecError, match=f"{name} has no") as caught:
            EVALUATION_TASKS[name].items(source)
        assert caught.value.problems[0].field == "source.kind"
        assert caught.value.problems[0].remedy


@pytest.mark.parametrize("name", ["countdown3", "sudoku4x4"])
def test_a_benchmark_without_levels_refuses_one(name: str) -> None:
    with pytest.raises(SpecError, match="no levels"):
        EVALUATION_TASKS[name].items(GeneratedItems(difficulty="easy"))


@pytest.mark.parametrize("dataset", ["gsm8k", "../up", "a/b/c"])
def test_only_owner_and_name_are_a_data_set(dataset: str) -> None:
    with pytest.raises(SpecError, match="owner/name"):
        HubItems.parse({"dataset": dataset})


class SmallHub:
    """Serves files as two data sets of the Hub and refuses all others as the Hub does."""

    FILES = ("openai/gsm8k/main/test-00000-of-00001.parquet", "HuggingFaceH4/MATH-500/test.jsonl")

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        self.app = FastAPI()
        self.app.api_route("/datasets/{owner}/{name}/resolve/{revision}/{file:path}", methods=["GET", "HEAD"])(
            self.file
        )

    def file(self, request: Request, owner: str, name: str, revision: str, file: str) -> Response:
        self.asked.append(f"{owner}/{name}/{file}")
        if name == "gated":
            return Response(status_code=403, headers={"X-Error-Code": "GatedRepo"})
        if not any(known.startswith(f"{owner}/{name}/") for known in self.FILES):
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return Response(status_code=404, headers={"X-Error-Code": "RevisionNotFound"})
        if f"{owner}/{name}/{file}" not in self.FILES:
            return Response(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
        path = self.folder / Path(file).name
        tag = hashlib.sha1(path.read_bytes()).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'}
        if request.method == "HEAD":
            return Response(headers=headers | {"Content-Length": str(path.stat().st_size)})
        return FileResponse(path, headers=headers)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    folder = tmp_path / "remote"
    folder.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows("gsm8k")), folder / "test-00000-of-00001.parquet")
    extra = {"subject": "Algebra", "level": 2, "unique_id": "test/algebra/1.json"}
    written(folder, "test.jsonl", "".join(json.dumps(row | extra) + "\n" for row in rows("math500")))
    hub = SmallHub(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with serve(hub.app) as address:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


def test_the_hub_gives_the_list_that_a_file_gives(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for task, name in ((GSM8K, "gsm8k"), (MATH, "math500")):
        items = task.items(task.default_source)
        assert fingerprint(items) == fingerprint(task.items(FileItems(path=DATA / f"{name}_sample.jsonl")))
    assert set(hub.asked) == set(SmallHub.FILES)
    pinned = GSM8K.items(HubItems(dataset=f"openai/gsm8k@{COMMIT}", first=2))
    assert [item.id for item in pinned] == ["gsm8k/0", "gsm8k/1"]
    hub.asked.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert len(GSM8K.items(HubItems())) == 20
    assert not hub.asked


@pytest.mark.parametrize(
    ("source", "message", "remedy"),
    [
        (HubItems(dataset="some/gated"), "some/gated is gated", "HF_TOKEN"),
        (HubItems(dataset="some/nothing"), "has no data set some/nothing", "HF_TOKEN"),
        (HubItems(dataset="openai/gsm8k@v2"), "has no revision v2", "page"),
        (HubItems(file="main/train.parquet"), "has no file main/train.parquet", "page"),
    ],
)
def test_a_refusal_of_the_hub_says_what_to_do(hub: SmallHub, source: HubItems, message: str, remedy: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        GSM8K.items(source)
    assert remedy in caught.value.problems[0].remedy


def test_without_a_connection_and_a_copy_the_error_says_what_to_do(
    hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot be downloaded") as caught:
        GSM8K.items(HubItems())
    assert "give its path" in caught.value.problems[0].remedy


def problems(path: Path, task: str = "gsm8k") -> list[tuple[str, str]]:
    with pytest.raises(DataError) as caught:
        EVALUATION_TASKS[task].items(FileItems(path=path))
    assert all(problem.remedy for problem in caught.value.problems)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_values_become_text_as_in_a_data_set_to_learn_from(tmp_path: Path) -> None:
    answers = {
        "float": pyarrow.array([0.1, 1e16], pyarrow.float32()),
        "decimal": pyarrow.array([Decimal("2.50"), Decimal("1.00")]),
        "categories": pyarrow.array(["7", "8"]).dictionary_encode(),
    }
    expected = {"float": ["0.1", "10000000000000000"], "decimal": ["2.50", "1.00"], "categories": ["7", "8"]}
    for name, column in answers.items():
        path = tmp_path / f"{name}.parquet"
        parquet.write_table(pyarrow.table({"question": ["q", "s"], "answer": column}), path)
        assert [item.expected for item in listed(path)] == expected[name]
        assert [example.response for example in read_examples(path).examples] == expected[name]


def test_missing_answers_and_dates_are_named(tmp_path: Path) -> None:
    missing = 'Column "answer" is missing.'
    assert problems(DATA / "brought" / "nan-answers.parquet") == [("row 2", missing), ("row 4", missing)]
    assert problems(written(tmp_path, "a.json", '[{"question": "q", "answer": NaN}]')) == [("row 1", missing)]
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"question": ["q"], "answer": [datetime.date(2020, 1, 1)]}), path)
    assert problems(path) == [("row 1", 'Column "answer" is a date, not text.')]


def test_a_column_that_is_not_read_refuses_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    zone = pyarrow.array([1], pyarrow.timestamp("us", tz="nowhere/at_all"))
    parquet.write_table(pyarrow.table({"question": ["q"], "answer": ["4"], "created": zone}), path)
    assert [item.expected for item in listed(path)] == ["4"]
    table = written(tmp_path, "a.csv", "question;answer;;\nq;4;;\n;;;\ns;5;;\n")
    assert [item.expected for item in listed(table)] == ["4", "5"]


def test_each_row_uses_the_name_under_which_it_has_a_value(tmp_path: Path) -> None:
    rows = [
        {"puzzle": "1030040000400321", "solution": "1234341221434321"},
        {"Puzzle": "1030040000400321", "Solution": "1234341221434321"},
    ]
    names = ("puzzle", "solution", "Puzzle", "Solution")
    full = [{name: row.get(name) for name in names} for row in rows]
    lines = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    nulls = written(tmp_path, "b.jsonl", "".join(json.dumps(row) + "\n" for row in full))
    cells = [",".join(row[name] or "" for name in names) for row in full]
    table = written(tmp_path, "a.csv", "\n".join([",".join(names), *cells]))
    parquet.write_table(pyarrow.Table.from_pylist(full), tmp_path / "a.parquet")
    task = EVALUATION_TASKS["sudoku4x4"]
    found = [task.items(FileItems(path=path)) for path in (lines, nulls, table, tmp_path / "a.parquet")]
    assert len(found[0]) == 2
    assert all(items == found[0] for items in found)
