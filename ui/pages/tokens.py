"""Tokens: how unsure checkpoints are of every response token, and how often GIFT would mask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from gift_core.errors import Problem, SpecError
from gift_core.positions import parse_positions
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
from ui.connection import StudioError
from ui.links import REMEMBER, address, linked, parameters
from ui.pages.checkpoints import checkpoint_dropdown, example_called, load_choices, need_checkpoints
from ui.pages.problems import refusal, said
from ui.pages.tokens_dataset import DatasetSection

_INTRODUCTION = """## Which tokens is the model unsure of?
All of the response is masked, and each checkpoint is asked once. Uncertain tokens (high entropy) get a high rate
β = √H: GIFT masks them more often than SFT does at the same time t.
"""


_DEFAULT_POWER, _MOST_POWER = 0.5, 2.0
_Power = Annotated[float, Field(ge=0, le=_MOST_POWER)]
_TEXT, _DATA = "text", "data"
_MISSING = 404


def _mask_of(given: Mapping[str, str], problems: list[Problem]) -> str:
    """The link's mask; "" where it has none that can be read."""
    mask = given.get("mask", "")
    try:
        if mask:
            parse_positions(mask)
    except SpecError:
        remedy = "All of the response is masked instead."
        problems.append(Problem(f"The link's mask cannot be used: {mask[:40]!r}.", "mask", remedy))
        return ""
    return mask


class TokensPage:
    """`/tokens?experiment=…`, `/tokens?checkpoints=…,…&prompt=…&response=…&mask=3,5-9`, or `/tokens?section=data&…`."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(_INTRODUCTION)
        # What of the page's link cannot be used stays when something is shown.
        self._said = view("problems", "link-problems")
        link = gr.Textbox(visible=False)
        with gr.Row(equal_height=True):
            checkpoints = checkpoint_dropdown(scale=9, min_width=320)
            power = gr.Slider(
                0,
                _MOST_POWER,
                value=_DEFAULT_POWER,
                step=0.05,
                label="Power",
                info="Masking rate β = H ** power.",
                scale=3,
                min_width=240,
            )
        with gr.Tabs() as tabs:
            with gr.Tab("One text", id=_TEXT):
                self._lay_out_text()
            with gr.Tab("Data set", id=_DATA):
                self._data = DatasetSection(client, checkpoints, power, link)
        self._wire(demo, tabs, checkpoints, power, link)

    def _lay_out_text(self) -> None:
        # The positions of a partial mask as they stand in the link; empty for the probe alone.
        self._mask = gr.Textbox(visible=False)
        # The prompt and response that are shown: a mask belongs to the text that it was drawn on.
        self._seen = gr.JSON(None, visible=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                self._example = gr.Dropdown(
                    [], label="Example", info="Held-out problems: no run on a built-in task learns from them."
                )
                self._prompt = gr.Textbox(label="Prompt", lines=5, max_lines=16, max_length=20_000, elem_id="prompt")
                self._response = gr.Textbox(
                    label="Response", lines=4, max_lines=16, max_length=20_000, elem_id="response"
                )
                # Until the page has been filled there is nothing to ask for.
                self._button = gr.Button("Inspect", variant="primary", interactive=False, elem_id="inspect")
            with gr.Column(scale=9, min_width=320):
                self._problems = view("problems", "tokens-problems")
                self._inspection = view("inspection", "inspection")

    def _wire(
        self, demo: gr.Blocks, tabs: gr.Tabs, checkpoints: gr.Dropdown, power: gr.Slider, link: gr.Textbox
    ) -> None:
        text = [checkpoints, self._prompt, self._response, power, self._mask, self._seen]
        shown = [self._inspection, self._problems, link, self._mask, self._seen]
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": self._inspection}
        # Answered at once, and so without the queue, for whose answers a tab holds a connection open.
        quick = {**options, "queue": False}
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        opened = [checkpoints, power, tabs, self._example, self._prompt, self._response, self._mask, self._button]
        asked = gr.Textbox(visible=False)
        loaded = demo.load(self._open, None, [*opened, self._said, asked, *self._data.fields], **quick)
        loaded.success(self._show_recorded, [asked, *text], shown, **options)
        self._data.open_after(loaded)
        filled = [self._prompt, self._response, self._problems]
        self._example.select(self._fill, self._example, filled, **quick).success(
            self._inspect, text, shown, **options
        ).then(None, link, None, js=REMEMBER)
        self._inspection.submit(self._draw, None, self._mask, **quiet).then(self._inspect, text, shown, **options).then(
            None, link, None, js=REMEMBER
        )
        # always_last: where the slider was let go while another inspection ran is what is shown in the end.
        gr.on(
            [self._button.click, power.release], self._inspect, text, shown, trigger_mode="always_last", **options
        ).then(None, link, None, js=REMEMBER)

    def _open(self, request: gr.Request) -> tuple[Any, ...]:
        """The form, what of the link cannot be used, and whether there is something to inspect."""
        choices = load_choices(self._client, request)
        first, problems = choices.first, choices.problems
        given = parameters(request)
        prompt, response = given.get("prompt", first.prompt), given.get("response", first.response)
        power = linked(given, "power", _Power, _DEFAULT_POWER, problems)
        section = gr.update(selected=_DATA if given.get("section") == _DATA or "dataset" in given else _TEXT)
        text = (choices.example_input(prompt), prompt, response, _mask_of(given, problems), gr.update(interactive=True))
        data = self._data.opened(given, first.task, problems)
        trouble = said("Not everything in this link can be shown", problems)
        asked = "yes" if choices.chosen else ""
        return choices.checkpoint_input(), power, section, *text, trouble, asked, *data

    def _fill(self, title: str | None) -> tuple[Any, Any, Any]:
        """The prompt and the response of an example."""
        example = example_called(self._client, title)
        if example is None:
            raise StudioError([Problem("This example is not there any more.", remedy="Reload the page.")], 404)
        return example.prompt, example.response, ""

    def _show_recorded(self, asked: str, *text: Any) -> tuple[Any, ...]:
        """What is recorded of the form; following a link computes nothing, and the rest waits for the button."""
        return self._inspect(*text, compute=False) if asked else (NOTHING, "", "", gr.skip(), None)

    def _draw(self, event: gr.EventData) -> str:
        data: dict[str, Any] = event._data or {}
        return str(data.get("mask", ""))

    def _inspect(
        self,
        checkpoints: list[str] | None,
        prompt: str | None,
        response: str | None,
        power: float | None,
        mask: str | None,
        seen: list[str] | None,
        *,
        compute: bool = True,
    ) -> tuple[Any, ...]:
        text = [prompt or "", response or ""]
        power = _DEFAULT_POWER if power is None else power
        if seen not in (None, text):
            mask = ""
        try:
            masked = parse_positions(mask) if mask else None
            chosen = need_checkpoints(checkpoints)
            found = self._client.inspect(chosen, text[0], text[1], power, masked, compute=compute)
        except (StudioError, SpecError) as error:
            if isinstance(error, StudioError) and error.status == _MISSING and not compute:
                # The mask of the link stays for the button.
                return NOTHING, "", "", gr.skip(), text
            # Without its mask, so that the next try is not refused for it again.
            return NOTHING, refusal("Nothing to show", error), "", "", text
        link = address(
            "tokens", checkpoints=chosen, prompt=text[0], response=text[1], power=f"{power:g}", mask=mask or ""
        )
        return data_of(found), "", link, mask or "", text
