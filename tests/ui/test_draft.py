"""The draft of the launch form: kept in the browser, filled in again, discarded, and of every input of the form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Page, expect

from tests.ui.component_data import HOSTILE
from tests.ui.mounting import Mount
from tests.ui.test_forms import Form, lay_out
from ui.client import StudioClient
from ui.pages.launch_filling import FILE

DEFAULTS = {"name": "", "methods": ["sft", "gift"], "examples": 1000, "device": None}
ENTERED = DEFAULTS | {"name": HOSTILE, "examples": 77}


def opened(form: str = "") -> dict[str, Any]:
    return {"opened": "once", "form": form, "defaults": DEFAULTS}


def tell(page: Page, *messages: dict[str, Any]) -> None:
    for message in messages:
        page.evaluate("(message) => window.component.update(message)", message)


def restored(page: Page) -> list[Any]:
    return [payload["values"] for name, payload in page.evaluate("window.actions") if name == "restore"]


@pytest.mark.e2e
def test_what_was_entered_is_filled_in_again_until_it_is_sent(mount: Mount) -> None:
    page = mount("draft", opened())
    tell(page, {"values": ENTERED})
    page = mount("draft", opened())
    assert restored(page) == [ENTERED]
    expect(page.get_by_role("status")).to_contain_text("is filled in")
    tell(page, {"sent": True})
    page = mount("draft", opened())
    assert restored(page) == []
    expect(page.get_by_role("status")).to_have_count(0)


@pytest.mark.e2e
def test_a_draft_is_discarded_and_the_discarding_undone(mount: Mount) -> None:
    page = mount("draft", opened())
    tell(page, {"values": ENTERED})
    page = mount("draft", opened())
    page.get_by_role("button", name="Discard").click()
    assert restored(page) == [ENTERED, DEFAULTS]
    assert page.evaluate("localStorage.length") == 0
    page.get_by_role("button", name="Undo").click()
    assert restored(page) == [ENTERED, DEFAULTS, ENTERED]
    assert page.evaluate("localStorage.length") == 1


@pytest.mark.e2e
def test_a_draft_that_the_page_has_not_filled_in_yet_survives_its_first_values(mount: Mount) -> None:
    page = mount("draft", opened())
    tell(page, {"values": ENTERED})
    page = mount("draft", opened())
    tell(page, {"values": DEFAULTS})
    page = mount("draft", opened())
    assert restored(page) == [ENTERED]
    tell(page, {"values": ENTERED}, {"values": DEFAULTS})
    page = mount("draft", opened())
    assert restored(page) == [], "taken back by hand"


@pytest.mark.e2e
def test_the_defaults_are_no_draft_and_each_origin_has_its_own(mount: Mount) -> None:
    page = mount("draft", opened())
    tell(page, {"values": DEFAULTS | {"examples": "1000", "device": ""}})
    assert page.evaluate("localStorage.length") == 0
    tell(page, {"values": ENTERED})
    page = mount("draft", opened("run_1"))
    assert restored(page) == []
    page = mount("draft", None)
    page.evaluate("localStorage.setItem('gift-draft / ', '{broken')")
    tell(page, opened())
    assert restored(page) == []


def test_every_input_of_the_form_is_in_the_draft(client: StudioClient, tmp_path: Path) -> None:
    page = lay_out(client)
    drafted = set(page._named_inputs().values())
    assert drafted == {*page._inputs, *page._queue.inputs} - {page._own.refused}


def test_a_draft_with_a_data_set_reads_it_again_or_says_that_it_is_gone(client: StudioClient, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"frage": "1+1?", "antwort": "2"}\n')
    mapping = {"prompt_column": "frage", "response_column": "antwort"}
    detail = client.upload(file, file.name, mapping=mapping)
    page = lay_out(client)
    values = {"kind": FILE, "own.dataset": detail.id, "name": "Mine"}
    values |= {f"own.{name}": column for name, column in mapping.items()}
    form = Form(page)

    def restore(given: dict[str, Any]) -> dict[Any, Any]:
        event = gr.EventData(None, {"name": "restore", "values": given})
        return page._restore(event)

    answer = restore(values)
    assert answer[page._gone] == ""
    assert answer[page._own.dataset] == detail.id
    assert answer[page._own.mapping["prompt_column"]]["value"] == "frage"
    assert answer[page._name] == "Mine"
    assert form.page._file_group in answer
    gone = json.loads(restore(values | {"own.dataset": "ds_gone"})[page._gone])
    assert "ds_gone" in json.dumps(gone["problems"])
    answer = restore({"model": "gone-model", "queue.device": "cuda:9"})
    assert (answer[page._model], answer[page._queue.device]) == ("tiny", "")
    missing = json.loads(answer[page._gone])["problems"]
    assert [problem["field"] for problem in missing] == ["device", "model.name"]
    # What another version of the studio kept, or a person wrote there, is not trusted.
    assert restore({"unknown": 1})[page._gone] == ""
    assert restore([1])[page._name] == ""  # type: ignore[arg-type]
