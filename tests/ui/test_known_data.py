"""A data set of the catalogue on the launch page: what is said of it, fetching it, and what a run then reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from gift_core.data.catalogue import DATASETS
from tests.data_hub import serving_data
from ui.client import StudioClient
from ui.pages.known_data import REASONING, KnownData

S1K = (Path(__file__).parents[1] / "data" / "brought" / "s1k.jsonl").read_bytes()


@pytest.fixture
def known(client: StudioClient) -> KnownData:
    with gr.Blocks():
        known = KnownData(client)
        known.lay_out()
    return known


def shown(answer: list[Any]) -> tuple[str, str, str, bool]:
    """The data set, what was refused, what is said of it, and whether it can be fetched."""
    dataset, refused, arrived, facts, button = answer
    assert arrived
    return dataset, refused, facts, button["visible"]


def source_of(known: KnownData, dataset: str, reasoning: str = "protocol") -> dict[str, Any] | None:
    return known.source({known.dataset: dataset, known.reasoning: reasoning})


def test_every_entry_is_offered(known: KnownData) -> None:
    assert [name for _, name in known._choice.choices] == [entry.name for entry in DATASETS]
    assert ("s1K (used by the paper)", "s1k") in known._choice.choices
    assert [form for _, form in REASONING] == ["protocol", "think", "omit"]


def test_a_data_set_is_fetched_once_and_then_read_as_it_was_recognised(
    known: KnownData, client: StudioClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("simplescaling/s1K-1.1", "train.jsonl", S1K)
        dataset, refused, facts, can_fetch = shown(known._choose("s1k-1.1"))
        assert (dataset, refused, can_fetch, hub.fetched) == ("", "", True, [])
        for said in ("simplescaling/s1K-1.1", "1,000 rows", "licence mit", "used by the GIFT paper", "press **Fetch**"):
            assert said in facts
        assert source_of(known, dataset) is None
        dataset, refused, facts, can_fetch = shown(known._receive("s1k-1.1"))
        assert (refused, can_fetch, hub.fetched) == ("", False, ["train.jsonl"])
        assert "The studio has it" in facts
        assert shown(known._choose("s1k-1.1"))[0] == dataset
    source = source_of(known, dataset)
    assert source == {"kind": "file", "dataset": dataset, "reasoning": "protocol"}
    preview = client.preview({"data": {"source": source, "max_length": 64}})
    assert (preview.recognised, preview.reasoning_column) == ("s1K", "thinking_trajectories")
    texts = [
        "".join(
            token.text
            for token in client.preview({"data": {"source": source_of(known, dataset, form)}}).examples[0].response
        )
        for form in ("protocol", "omit")
    ]
    assert texts[0].startswith("<reasoning>Two and two make four.</reasoning><answer>The answer is")
    assert texts[1].startswith("The answer is")


def test_a_studio_without_network_says_so_and_what_to_do(known: KnownData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    dataset, refused, facts, can_fetch = shown(known._choose("s1k"))
    assert (dataset, refused, can_fetch) == ("", "", False)
    assert "kept off the network" in facts
    assert "upload the file" in facts
    assert shown(known._choose(None))[3] is False


def test_a_data_set_that_the_hub_does_not_give_is_refused_in_words(
    known: KnownData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_data(tmp_path, monkeypatch):
        dataset, refused, arrived, *_ = known._receive("dolly")
    assert (dataset, bool(arrived)) == ("", True)
    (problem,) = json.loads(refused)["problems"]
    assert "databricks/databricks-dolly-15k" in problem["message"]


def test_a_draft_looks_up_again_what_was_chosen(
    known: KnownData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = dict(zip(known.named.values(), ("s1k-1.1", "ds_that_is_gone", "omit"), strict=True))
    with serving_data(tmp_path, monkeypatch) as hub:
        hub.put("simplescaling/s1K-1.1", "train.jsonl", S1K)
        assert known.filled(values)[known.dataset] == ""
        dataset = known._receive("s1k-1.1")[0]
    filled = known.filled(values)
    assert (filled[known.dataset], filled[known.reasoning]) == (dataset, "omit")
    assert set(filled) == set(known.filled_inputs)
    assert known.filled(dict.fromkeys(values))[known.dataset] == ""
