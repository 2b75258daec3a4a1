"""Whatever is wrong with a file or a field is said on the page, in the words of the API, and nothing is created."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.e2e.conftest import ROOT, Server
from tests.e2e.test_story import FINISHED, LOADING, field_of, fill, launch, open_section
from ui.client import StudioClient
from ui.connection import StudioError

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

GSM8K = ROOT.parent / "shared" / "data" / "gsm8k_train.jsonl"
PROBLEMS = "#launch-problems .gs-alert"
MEGABYTE = 2**20


def upload(page: Page, path: Path) -> None:
    page.get_by_label("My own file").check()
    # At once: the preview of the task that was chosen before may still be under way.
    page.locator("#upload input[type=file]").set_input_files(path)


def jsonl(path: Path, rows: list[object]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def huge(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(60 * MEGABYTE)
    return path


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: jsonl(folder / "rows.jsonl", [{"prompt": "a", "response": "b"}, {"prompt": "c"}]), "row 2"),
        (lambda folder: jsonl(folder / "empty.jsonl", []), "empty"),
        (lambda folder: _written(folder / "noise.jsonl", bytes(range(256)) * 8), "line 1"),
    ],
    ids=["a row without a response", "an empty file", "an unreadable file"],
)
def test_a_file_that_cannot_be_used(
    page: Page, client: StudioClient, tmp_path: Path, make: object, expected: str
) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(StudioError) as refused:
        client.upload(path, path.name)
    assert 400 <= refused.value.status < 500
    assert expected in str(refused.value)
    upload(page, path)
    shown = page.locator(PROBLEMS)
    for problem in refused.value.problems:
        expect(shown).to_contain_text(problem.message)
        expect(shown).to_contain_text(problem.remedy)
    assert not any(dataset.name == path.name for dataset in client.datasets())


def test_a_file_that_is_too_large_is_refused_on_its_way(page: Page, client: StudioClient, tmp_path: Path) -> None:
    upload(page, huge(tmp_path / "huge.jsonl"))
    shown = page.locator(".gs-alert:visible")
    expect(shown).to_contain_text("larger than the 50 MB limit", timeout=LOADING)
    expect(shown).to_contain_text("Choose one of fewer rows")
    assert not any(dataset.name == "huge.jsonl" for dataset in client.datasets())


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_prompt_longer_than_the_context_names_its_row(page: Page, client: StudioClient, tmp_path: Path) -> None:
    rows = [{"prompt": "short", "response": "ok"}, {"prompt": "9" * 5000, "response": "ok"}]
    before = client.experiments()
    upload(page, jsonl(tmp_path / "long.jsonl", rows))
    expect(page.locator("#preview .gs-pane")).to_have_count(2)
    page.click("#launch")
    expect(page.locator(PROBLEMS)).to_contain_text("row 2")
    expect(page.locator(PROBLEMS)).to_contain_text("tokens")
    assert client.experiments() == before


def test_a_learning_rate_that_is_no_number(page: Page, client: StudioClient) -> None:
    before = client.experiments()
    open_section(page, "Training")
    fill(page, "training.learning_rate", "abc")
    page.click("#launch")
    shown = page.locator(PROBLEMS)
    expect(shown).to_contain_text("training.learning_rate")
    expect(shown).to_contain_text('"abc" is not a number')
    with pytest.raises(StudioError) as refused:
        client.create_experiment({"run": {"training": {"learning_rate": "abc"}}}, "bad")
    assert refused.value.status == 422
    expect(shown).to_contain_text(refused.value.problems[0].message)
    assert client.experiments() == before
    # What was typed is still there to be corrected.
    expect(field_of(page, "training.learning_rate")).to_have_value("abc")


def test_an_unknown_model_is_refused_with_those_there_are(client: StudioClient) -> None:
    before = client.experiments()
    with pytest.raises(StudioError, match="tiny") as refused:
        client.create_experiment({"run": {"model": {"name": "gpt-9"}}}, "unknown model")
    assert refused.value.status == 422
    assert refused.value.problems[0].field.endswith("model.name")
    assert client.experiments() == before


def test_an_experiment_that_does_not_exist_is_said_so(page: Page, server: object) -> None:
    page.goto(page.url.rstrip("/") + "/runs?experiment=exp_nowhere")
    expect(page.locator("#runs-problems .gs-alert")).to_contain_text("exp_nowhere")
    # The others are still there to choose from.
    expect(page.get_by_role("navigation", name="Experiments").get_by_role("link")).not_to_have_count(0)


def test_a_file_of_ones_own_trains(page: Page, client: StudioClient, tmp_path: Path) -> None:
    rows = [{"prompt": f"Repeat {i}", "response": f"</script><b>{i}</b>"} for i in range(24)]
    upload(page, jsonl(tmp_path / "mine.jsonl", rows))
    expect(page.locator("#preview .gs-pane")).to_have_count(3)
    expect(page.locator("#preview")).to_contain_text("script")
    open_section(page, "Training")
    fill(page, "training.epochs", "1")
    page.locator("#methods").get_by_label("GIFT").uncheck()
    experiment = launch(page)
    expect(page.locator(FINISHED)).to_have_count(1, timeout=120_000)
    source = client.run(client.experiment(experiment).runs[0].id).spec.data.source
    assert source.kind == "file"


def test_columns_that_nobody_knows_are_chosen_on_the_page(page: Page, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    rows = [{"id": str(number), "dialog": turns, "topic": "greeting"} for number in range(3)]
    upload(page, jsonl(tmp_path / "talks.jsonl", rows))
    shown = page.locator(PROBLEMS)
    expect(shown).to_contain_text('the columns are "id", "dialog", "topic"')
    page.locator("#conversation-column input").click()
    page.get_by_role("option", name="dialog", exact=True).click()
    expect(page.locator("#preview .gs-pane")).to_have_count(3)
    expect(shown).to_have_count(0)
    expect(page.locator("#preview .gs-columns li")).to_have_text(["dialogconversation"])
    expect(page.locator("#preview .gs-unused")).to_have_text("Not used: id, topic")
    expect(page.locator("#preview")).to_contain_text("the last message of the assistant is learned")
    expect(page.get_by_role("list", name="Rows that say the same")).to_contain_text(
        "Rows that repeat an earlier one: 2 (1 = 2 = 3)"
    )
    # What can be learned under one choice of columns may be unusable under another.
    page.locator("#layout input").click()
    page.get_by_role("option", name="Prompt and response columns", exact=True).click()
    expect(shown).to_contain_text("No prompt and response found")
    expect(page.locator("#conversation-column")).to_be_hidden()


@pytest.mark.skipif(not GSM8K.exists(), reason="the GSM8K rows are not on this machine")
def test_gsm8k_rows_are_previewed_by_their_columns(page: Page, tmp_path: Path) -> None:
    lines = GSM8K.read_text("utf-8").splitlines()[:50]
    path = tmp_path / "gsm8k.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    upload(page, path)
    expect(page.locator("#preview .gs-pane")).to_have_count(3)
    expect(page.locator("#preview .gs-columns li")).to_have_text(["questionprompt", "answerresponse"])
    expect(page.locator("#preview .gs-facts")).to_contain_text("50")


@pytest.mark.parametrize(
    ("link", "view", "named"),
    [  # The problem box names the parts of a link that cannot be used, and stays beside the view.
        ("tokens?power=abc", "#inspection", "power"),
        ("tokens?power=99", "#inspection", "power"),
        ("tokens?mask=<b>x</b>", "#inspection", "mask"),
        ("tokens?section=data&examples=abc", "#dataset", "examples"),
        ("denoise?seed=abc", "#denoise", "seed"),
        ("denoise?steps=<b>x</b>", "#denoise", "steps"),
        ("denoise?remasking=evil", "#denoise", "remasking"),
    ],
)
def test_a_link_with_a_wrong_value_says_so_and_opens(
    context: BrowserContext, server: Server, link: str, view: str, named: str
) -> None:
    page = context.new_page()
    page.goto(f"{server.url}/{link}")
    expect(page.locator(".gs-alert")).to_contain_text(f"The link's {named} cannot be used")
    expect(page.locator(".gs-alert")).to_have_count(1)
    # A link computes nothing: the form that it has filled does.
    buttons = {"#inspection": "#inspect", "#dataset": "#look", "#denoise": "#denoise-button"}
    page.click(f"{buttons[view]}:enabled")
    expect(page.locator(f"{view} .gs-pane")).not_to_have_count(0)


@pytest.mark.parametrize(
    ("link", "view"),
    [
        ("tokens?checkpoints=bad", "#inspection"),
        ("denoise?checkpoints=bad", "#denoise"),
        ("denoise?traces=tr_bad", "#denoise"),
        ("evaluate?evaluations=ev_bad", "#evaluation"),
        ("runs?run=run_bad", "#runs"),
        ("tokens?dataset=in_bad", "#dataset"),
    ],
)
def test_a_link_to_what_is_not_there_names_it_and_shows_nothing_in_its_place(
    context: BrowserContext, server: Server, link: str, view: str
) -> None:
    page = context.new_page()
    page.goto(f"{server.url}/{link}")
    expect(page.locator(".gs-alert:visible")).to_contain_text(link.rpartition("=")[2])
    expect(page.locator(f"{view} .gs-empty:not(.gs-loading)")).to_be_visible()
    expect(page.locator(f"{view} :is(.gs-pane, .gs-card)")).to_have_count(0)


@pytest.mark.parametrize("path", ["nope", "runs/xyz", "tokenz?checkpoints=tiny"])
def test_an_unknown_address_has_a_page_with_the_way_back(context: BrowserContext, server: Server, path: str) -> None:
    page = context.new_page()
    answer = page.goto(f"{server.url}/{path}")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", name="This page is not here")).to_be_visible()
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("#runs .gs-card").first).to_be_visible()


def hold(page: Page) -> Callable[[], None]:
    """Hold back all that fills the page, as a slow link does, until the returned function is called."""
    held: list[Route] = []
    holding = True

    def handle(route: Route) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    def let_go() -> None:
        nonlocal holding
        holding = False
        for route in held:
            route.continue_()

    page.route("**/gradio_api/run/**", handle)
    page.route("**/gradio_api/queue/join**", handle)
    return let_go


@pytest.mark.parametrize(
    ("path", "button"), [("", "launch"), ("tokens", "inspect"), ("denoise", "denoise-button"), ("evaluate", "evaluate")]
)
def test_a_page_that_has_not_been_filled_yet_takes_no_press_and_calls_nothing_empty(
    context: BrowserContext, server: Server, path: str, button: str
) -> None:
    page = context.new_page()
    let_go = hold(page)
    page.goto(f"{server.url}/{path}")
    expect(page.locator(f"#{button}")).to_be_disabled()
    expect(page.locator(".gs-loading:visible").first).to_be_visible()
    expect(page.locator(".gs-empty:not(.gs-loading):visible")).to_have_count(0)
    let_go()
    expect(page.locator(f"#{button}")).to_be_enabled()


def test_no_list_is_called_empty_before_it_is_there(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    let_go = hold(page)
    page.goto(f"{server.url}/runs")
    expect(page.locator("#experiments .gs-empty")).to_have_text("Loading the experiments…")
    expect(page.locator("#runs .gs-empty")).to_have_text("Loading the runs…")
    let_go()
    expect(page.locator("#experiments").get_by_role("link")).not_to_have_count(0)


def test_a_request_that_fails_is_said_on_the_page(browser: Browser, server: Server) -> None:
    # In a context of its own: Gradio itself throws an error where a request fails.
    page = browser.new_page()
    page.goto(f"{server.url}/denoise?checkpoints=tiny&steps=12")
    page.click("#denoise-button:enabled")
    expect(page.locator("#denoise .gs-pane")).not_to_have_count(0)
    failure = {"error": "Something went wrong on the server.", "visible": True}
    page.route("**/gradio_api/run/**", lambda route: route.fulfill(status=500, json=failure))
    page.locator("#denoise-button").click()
    expect(page.locator("#denoise-problems .gs-alert")).to_contain_text("Something went wrong on the server.")


def test_a_link_restores_what_was_set(page: Page) -> None:
    page.goto(page.url + "denoise?steps=12&seed=7&temperature=0.5&remasking=random")
    page.click("#denoise-button:enabled")
    page.get_by_role("button", name="Sampling").click()
    expect(field_of(page, "sampling.steps")).to_have_value("12")
    expect(field_of(page, "sampling.temperature")).to_have_value("0.5")
    expect(field_of(page, "sampling.remasking")).to_have_value("random")
    expect(page.locator("#denoise .gs-note").first).to_contain_text("12 steps")


def test_a_preview_that_ends_late_does_not_overwrite_the_one_of_a_file(page: Page, tmp_path: Path) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        # What choosing the kind of data asks for: a preview, of no file yet. The page may still ask for other things.
        if held or "My own file" not in (route.request.post_data or ""):
            route.continue_()
        else:
            held.append(route)

    page.route("**/gradio_api/queue/join*", hold_the_first)
    path = jsonl(tmp_path / "mine.jsonl", [{"prompt": "one", "response": "two"}])
    upload(page, path)
    expect(page.locator("#prompt-column input")).to_have_value("prompt")
    # The file has been taken in, and its preview waits for the one before it.
    expect(page.locator("#preview .gs-pane")).to_have_count(3, timeout=30_000)
    held[0].continue_()
    expect(page.locator("#preview .gs-pane")).to_have_count(1)
