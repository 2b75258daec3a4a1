"""Tokens: how unsure checkpoints are of every response token, and how often GIFT would mask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from gift_core.errors import SpecError
from gift_core.positions import parse_positions
from ui.client import StudioClient
from ui.components import data_of, view
from ui.connection import StudioError
from ui.links import REMEMBER, address, linked, parameters
from ui.pages.checkpoints import Choices, load_choices
from ui.pages.problems import refusal
from ui.pages.tokens_dataset import DatasetSection

_INTRODUCTION = """## Which tokens is the model unsure of?
All of the response is masked, and each checkpoint is asked once. Uncertain tokens (high entropy) get a high rate
β = √H: GIFT masks them more often than SFT does at the same time t.
"""


_DEFAULT_POWER, _MOST_POWER = 0.5, 2.0
_Power = Annotated[float, Field(ge=0, le=_MOST_POWER)]
_TEXT, _DATA = "text", "data"


def _mask_of(given: Mapping[str, str]) -> str:
    """The link's mask; "" where it has none that can be read."""
    mask = given.get("mask", "")
    try:
        if mask:
            parse_positions(mask)
    except SpecError:
        gr.Warning("The link's mask cannot be used. All of the response is masked instead.")
        return ""
    return mask


class TokensPage:
    """`/tokens?experiment=…`, `/tokens?checkpoints=…,…&prompt=…&response=…&mask=3,5-9`, or `/tokens?section=data&…`."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(_INTRODUCTION)
        link = gr.Textbox(visible=False)
        with gr.Row(equal_height=True):
            checkpoints = gr.Dropdown(
                [],
                multiselect=True,
                max_choices=4,
                label="Checkpoints",
                elem_id="checkpoints",
                scale=9,
                min_width=320,
            )
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
        self._seen = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                self._example = gr.Dropdown(
                    [], label="Example", info="Held-out problems: no run on a built-in task learns from them."
                )
                self._prompt = gr.Textbox(label="Prompt", lines=5, max_lines=16, max_length=20_000, elem_id="prompt")
                self._response = gr.Textbox(
                    label="Response", lines=4, max_lines=16, max_length=20_000, elem_id="response"
                )
                self._button = gr.Button("Inspect", variant="primary", elem_id="inspect")
            with gr.Column(scale=9, min_width=320):
                self._problems = view("problems", "tokens-problems")
                self._inspection = view("inspection", "inspection")

    def _wire(
        self, demo: gr.Blocks, tabs: gr.Tabs, checkpoints: gr.Dropdown, power: gr.Slider, link: gr.Textbox
    ) -> None:
        text = [checkpoints, self._prompt, self._response, power, self._mask, self._seen]
        shown = [self._inspection, self._problems, link, self._mask, self._seen]
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": self._inspection}
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        opened = [checkpoints, power, tabs, self._example, self._prompt, self._response, self._mask]
        loaded = demo.load(self._open, None, [*opened, *self._data.fields], **options)
        loaded.then(self._inspect, text, shown, **options)
        self._data.open_after(loaded)
        self._example.select(self._fill, self._example, [self._prompt, self._response], **options).then(
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
        choices = self._choices(request)
        first = choices.first
        given = parameters(request)
        prompt, response = given.get("prompt", first.prompt), given.get("response", first.response)
        power = linked(given, "power", _Power, _DEFAULT_POWER)
        section = gr.update(selected=_DATA if given.get("section") == _DATA else _TEXT)
        text = (choices.example_input(prompt), prompt, response, _mask_of(given))
        return choices.checkpoint_input(), power, section, *text, *self._data.opened(given, first.task)

    def _choices(self, request: gr.Request) -> Choices:
        try:
            return load_choices(self._client, request)
        except StudioError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    def _fill(self, title: str) -> tuple[str, str]:
        example = next(each for each in self._client.examples() if each.title == title)
        return example.prompt, example.response

    def _draw(self, event: gr.EventData) -> str:
        data: dict[str, Any] = event._data or {}
        return str(data.get("mask", ""))

    def _inspect(
        self,
        checkpoints: list[str],
        prompt: str,
        response: str,
        power: float,
        mask: str,
        seen: tuple[str, str] | None,
    ) -> tuple[str, str, str, str, tuple[str, str]]:
        text = (prompt, response)
        if seen not in (None, text):
            mask = ""
        try:
            masked = parse_positions(mask) if mask else None
            found = self._client.inspect(checkpoints, prompt, response, power, masked)
        except StudioError as error:
            # Without its mask, so that the next try is not refused for it again.
            return "", refusal("Nothing to show", error), "", "", text
        link = address(
            "tokens", checkpoints=checkpoints, prompt=prompt, response=response, power=f"{power:g}", mask=mask
        )
        return data_of(found), "", link, mask, text
