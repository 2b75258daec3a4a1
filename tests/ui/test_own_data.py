"""A file or a split of the Hub on the launch page: what is filled in, and what can be tried again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from gift_core.data.fingerprint import examples_digest
from gift_core.data.sources import load_split
from gift_core.data_spec import DataSpec
from ui.client import StudioClient
from ui.pages.own_data import OwnData
from workers.studio import Studio

TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
COLUMNS = (
    *("prompt_column", "response_column", "conversation_column", "system_column"),
    *("context_column", "reasoning_column", "history_column"),
)


BROUGHT = Path(__file__).parents[1] / "data" / "brought"
# Those of them that can be learned from.
USABLE = (
    *("both.jsonl", "dolly.jsonl", "metamath.jsonl", "openorca.jsonl", "s1k.jsonl", "mixture-of-thoughts.jsonl"),
    *("instruction-input-response.jsonl", "alpaca-history.json", "trailing-user.jsonl", "weight-zero.jsonl"),
    "empty-system.jsonl",
)
LAYOUTS = [BROUGHT / name for name in USABLE]
NOTHING_FOUND = {"layout": "auto", "reasoning": "protocol"}


def chosen_of(own: OwnData, **chosen: str) -> list[str | None]:
    """The values of the mapping's inputs, of which some were chosen."""
    return [(NOTHING_FOUND | chosen).get(name) for name in own.mapping]


@pytest.fixture
def own(client: StudioClient) -> OwnData:
    with gr.Blocks():
        own = OwnData(client)
        own.lay_out()
    return own


def written(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def filled(answer: list[Any]) -> tuple[str | None, str, dict[str, Any]]:
    """The data set, what was refused, and the mapping that the page shows."""
    dataset, refused, arrived, held, layout, *columns, reasoning = answer
    assert arrived
    assert held["visible"] == bool(dataset), "what is read is named"
    values = {name: update["value"] for name, update in zip(COLUMNS, columns, strict=True)}
    chosen = {name: value for name, value in values.items() if value}
    return dataset, refused, {"layout": layout, "reasoning": reasoning, **chosen}


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ({"question": "q", "answer": "a"}, {"prompt_column": "question", "response_column": "answer"}),
        (
            {"instruction": "i", "input": "", "output": "o", "system": "s"},
            {
                "layout": "alpaca",
                "prompt_column": "instruction",
                "response_column": "output",
                "context_column": "input",
                "system_column": "system",
            },
        ),
        ({"messages": TALK}, {"layout": "messages", "conversation_column": "messages"}),
        ({"id": 1, "talk": TALK}, {"layout": "auto"}),
    ],
)
def test_what_was_found_is_filled_in(
    own: OwnData, tmp_path: Path, row: dict[str, Any], mapping: dict[str, str]
) -> None:
    answer = own._receive(written(tmp_path / "mine.jsonl", row))
    dataset, refused, found = filled(answer)
    assert dataset
    assert refused == ""
    assert found == {"layout": "pairs", "reasoning": "protocol"} | mapping
    assert all(update["choices"] == list(row) for update in answer[5:-1])
    # What is filled in is what a run then reads.
    values = {part: found.get(name) for name, part in own.mapping.items()} | {own.dataset: dataset, own.refused: ""}
    source = own.source(values)
    assert source == {"kind": "file", "dataset": dataset, **found}


def test_a_refused_file_is_tried_again_with_the_columns_that_were_named(own: OwnData, tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": "", "reply": "r"}] * 3
    path = written(tmp_path / "mine.jsonl", *rows)
    dataset, refused, found = filled(own._receive(path))
    assert (dataset, found) == (None, NOTHING_FOUND)
    problems = json.loads(refused)["problems"]
    assert [problem["field"] for problem in problems] == ["row 1", "row 2", "row 3"]
    chosen = chosen_of(own, response_column="reply")
    dataset, refused, arrived, held = own._try_again(path, None, *chosen)
    assert dataset
    assert (refused, bool(arrived), held["value"]) == ("", True, "mine.jsonl, 3 rows")
    # A file that was taken in is only read by other columns: nothing is sent again.
    assert own._try_again(path, dataset, *chosen_of(own, response_column="response")) == [gr.skip()] * 4


def test_a_data_set_that_the_backend_cannot_fetch_is_refused_with_a_remedy(
    own: OwnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for repository, field in (("a/rows", "data.source.dataset"), ("https://example.org", "dataset")):
        dataset, refused, _ = filled(own._receive_from_hub(repository, "", "train", ""))
        assert dataset is None
        (problem,) = json.loads(refused)["problems"]
        assert problem["field"] == field


def test_a_file_that_was_taken_away_leaves_nothing(own: OwnData) -> None:
    assert filled(own._receive(None)) == (None, "", NOTHING_FOUND)


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.name)
def test_what_the_page_fills_in_reads_what_was_summarised(
    own: OwnData, client: StudioClient, studio: Studio, path: Path
) -> None:
    dataset, refused, found = filled(own._receive(str(path)))
    assert refused == ""
    values = {part: found.get(name) for name, part in own.mapping.items()} | {own.dataset: dataset, own.refused: ""}
    data = DataSpec.parse({"source": own.source(values), "held_out": 0})
    split = load_split(data, studio.datasets.path)
    assert examples_digest(split.training) == client.dataset(str(dataset)).fingerprint


def test_a_file_of_problems_is_read_as_rows_all_the_same(own: OwnData, client: StudioClient) -> None:
    client.upload(BROUGHT / "both.jsonl", "both.jsonl", task="gsm8k")
    dataset, refused, found = filled(own._receive(str(BROUGHT / "both.jsonl")))
    assert refused == ""
    assert (found["prompt_column"], found["response_column"]) == ("question", "answer")
    assert client.preview({"data": {"source": {"kind": "file", "dataset": dataset, **found}}}).rows == 2
