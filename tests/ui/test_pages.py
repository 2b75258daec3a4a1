"""The pages as a whole: nothing in them holds a connection, and what fails is said in words."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import pytest
from gradio import queueing, utils

from gift_core.spec import SamplingSpec
from ui.app import build_ui
from ui.client import StudioClient
from ui.components import NOTHING
from ui.pages.denoise import DenoisePage
from ui.pages.evaluate import EvaluatePage
from ui.pages.faults import put_faults_in_words
from ui.pages.launch import LaunchPage
from ui.pages.runs import RunsPage
from ui.pages.tokens import TokensPage

NOWHERE = "http://127.0.0.1:9"
# Nothing entered.
SAMPLING = [None] * len(SamplingSpec.model_fields)
PRIMARY = {"Launch SFT + GIFT", "Inspect", "Look at the data set", "Denoise", "Evaluate"}


@pytest.fixture(scope="module")
def demo() -> gr.Blocks:
    return build_ui(StudioClient(NOWHERE))


def handler(demo: gr.Blocks, name: str, page: type) -> Any:
    """A page's handler as Gradio calls it."""
    wanted = getattr(page, name)
    return next(
        event
        for event in demo.fns.values()
        if getattr(getattr(event.fn, "__wrapped__", None), "__func__", None) is wanted
    )


def problems(answer: str) -> list[dict[str, str]]:
    return json.loads(answer)["problems"] if answer else []


def shown(answer: dict[Any, str]) -> str:
    """The text of the one box of problems that an answer fills."""
    (panel,) = answer.values()
    return json.dumps(json.loads(panel))


def test_no_page_opens_a_heartbeat(demo: gr.Blocks) -> None:
    assert not any(isinstance(block, gr.State) for block in demo.blocks.values())
    assert demo.get_config_file()["connect_heartbeat"] is False


def test_what_fills_a_page_and_what_is_pressed_there_need_no_queue(demo: gr.Blocks) -> None:
    pressed = [(RunsPage, "_act"), (DenoisePage, "_act"), (DenoisePage, "_denoise"), (EvaluatePage, "_act")]
    filled = [(page, "_open") for page in (LaunchPage, RunsPage, TokensPage, DenoisePage, EvaluatePage)]
    for page, name in [*filled, *pressed, (LaunchPage, "_launch"), (EvaluatePage, "_evaluate")]:
        assert handler(demo, name, page).queue is False, (page, name)


def test_buttons_wait_until_the_page_has_been_filled(demo: gr.Blocks) -> None:
    buttons = {block.value: block.interactive for block in demo.blocks.values() if isinstance(block, gr.Button)}
    assert {name for name in buttons if name in PRIMARY} == PRIMARY
    assert not any(buttons[name] for name in PRIMARY)


@pytest.mark.parametrize("page", [LaunchPage, TokensPage, DenoisePage, EvaluatePage])
def test_a_page_without_its_backend_says_so(demo: gr.Blocks, page: type) -> None:
    answer = handler(demo, "_open", page).fn(gr.Request(query_params={}))
    assert f"The backend at {NOWHERE} does not answer." in shown(answer)


def test_what_nobody_foresaw_is_one_sentence_on_the_page_and_the_rest_in_the_log(
    demo: gr.Blocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'replace'")

    monkeypatch.setattr(StudioClient, "checkpoints", fail)
    said = shown(handler(demo, "_open", DenoisePage).fn(gr.Request(query_params={})))
    assert "Something went wrong on the server." in said
    assert "NoneType" not in said
    assert "NoneType" in caplog.text


def test_what_fails_around_a_handler_is_said_in_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (utils, queueing):
        monkeypatch.setattr(module, "error_payload", module.error_payload)
    put_faults_in_words()
    for module in (utils, queueing):
        unforeseen = module.error_payload(KeyError("secret"), True)
        assert "secret" not in str(unforeseen)
        assert "went wrong" in str(unforeseen["error"])
        stale = module.error_payload(gr.Error("Value: x is not in the list of choices: []"), True)
        assert stale["error"] == "What is chosen here is not offered any more. Reload the page, and choose again."
        assert module.error_payload(gr.Error("In words."), True)["error"] == "In words."


# What is missing


@pytest.fixture
def pages(client: StudioClient) -> dict[type, Any]:
    with gr.Blocks() as demo:
        return {page: page(demo, client) for page in (LaunchPage, RunsPage, TokensPage, DenoisePage, EvaluatePage)}


def test_a_press_before_anything_is_there_says_what_is_missing(pages: dict[type, Any]) -> None:
    tokens, denoise, evaluate, launch = (pages[page] for page in (TokensPage, DenoisePage, EvaluatePage, LaunchPage))
    none = "No checkpoint is chosen."
    assert problems(tokens._inspect(None, None, None, None, None, None)[1])[0]["message"] == none
    assert problems(tokens._data._look(None, None, None, None, None)[1])[0]["message"] == none
    assert problems(denoise._denoise(None, None, None, None, *SAMPLING).problems)[0]["message"] == none
    empty = dict.fromkeys(evaluate._form.inputs)
    assert problems(evaluate._evaluate(empty)[evaluate._problems])[0]["message"] == "No task is chosen."
    empty = dict.fromkeys({launch._nonce, *launch._inputs, *launch._queue.inputs})
    assert problems(launch._launch(empty)[0])[0]["message"] == "The page has not been filled yet."


def test_an_emptied_number_is_missing(pages: dict[type, Any]) -> None:
    tokens, denoise, evaluate = (pages[page] for page in (TokensPage, DenoisePage, EvaluatePage))
    found = tokens._data._look(["tiny"], "sudoku", "standard", None, 0.5)[1]
    assert problems(found)[0]["message"] == "The number of examples is missing."
    found = denoise._denoise(["tiny"], "2+3=", None, "", *SAMPLING).problems
    assert problems(found)[0]["message"] == "There is no seed."
    form = evaluate._form
    values = {part: getattr(part, "value", None) for part in form.inputs} | {
        form.checkpoints: ["tiny"],
        form.count: None,
    }
    found = evaluate._evaluate(values)[evaluate._problems]
    assert problems(found)[0]["message"] == "The number of items is missing."


# Links


def opened(page: Any, **link: str) -> Any:
    return page._open(gr.Request(query_params=link))


def test_an_unknown_checkpoint_in_a_link_is_named_and_nothing_takes_its_place(pages: dict[type, Any]) -> None:
    checkpoints, *_, said, asked = opened(pages[TokensPage], checkpoints="bad")[:10]
    assert (checkpoints["value"], asked) == ([], "")
    assert "There is no checkpoint 'bad'" in problems(said)[0]["message"]
    _, checkpoints, *_, player, said, _ = opened(pages[DenoisePage], checkpoints="bad")
    assert (checkpoints["value"], player) == ([], NOTHING)
    assert "There is no checkpoint 'bad'" in problems(said)[0]["message"]
    evaluate = pages[EvaluatePage]
    answer = opened(evaluate, checkpoints="bad,tiny")
    assert answer[evaluate._form.checkpoints]["value"] == ["tiny"]
    assert "There is no checkpoint 'bad'" in problems(answer[evaluate._problems])[0]["message"]


@pytest.mark.parametrize(
    ("page", "link", "named"),
    [
        (TokensPage, {"experiment": "exp_bad"}, "exp_bad"),
        (TokensPage, {"example": "No such"}, "No such"),
        (TokensPage, {"checkpoints": "tiny", "power": "99"}, "99"),
        (TokensPage, {"checkpoints": "tiny", "mask": "<b>"}, "<b>"),
        (TokensPage, {"checkpoints": "a,b,c,d,e"}, "names 5 checkpoints, and 4 fit"),
        (TokensPage, {"checkpoints": "tiny", "data": "ds_bad"}, "ds_bad"),
        (DenoisePage, {"experiment": "exp_bad"}, "exp_bad"),
        (DenoisePage, {"traces": "tr_bad"}, "tr_bad"),
        (DenoisePage, {"checkpoints": "tiny", "seed": "abc"}, "abc"),
        (EvaluatePage, {"evaluations": "ev_bad"}, "ev_bad"),
        (EvaluatePage, {"experiment": "exp_bad"}, "exp_bad"),
        (RunsPage, {"experiment": "exp_bad"}, "exp_bad"),
        (RunsPage, {"run": "run_bad"}, "run_bad"),
    ],
)
def test_what_a_link_names_and_there_is_not_is_said(
    pages: dict[type, Any], page: type, link: dict[str, str], named: str
) -> None:
    answer = opened(pages[page], **link)
    parts = answer.values() if isinstance(answer, dict) else answer
    panels = [part for part in parts if isinstance(part, str) and '"problems"' in part]
    assert any(named in problem["message"] for panel in panels for problem in problems(panel)), panels


def test_a_link_to_a_run_opens_its_experiment(pages: dict[type, Any], create: Any) -> None:
    _, (first, _) = create()
    create()
    _, board, said = opened(pages[RunsPage], run=first.id)
    assert json.loads(board)["experiment"] == first.experiment_id
    assert said == ""


def test_an_unknown_look_at_a_data_set_is_said(pages: dict[type, Any]) -> None:
    section = pages[TokensPage]._data
    result, said, _ = section._show_opened("in_bad")
    assert result == NOTHING
    assert "in_bad" in problems(said)[0]["message"]
