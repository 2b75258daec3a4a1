"""Tokens: how unsure each checkpoint is of every response token, and how often GIFT would mask it."""

from __future__ import annotations

from typing import Annotated, Any

import gradio as gr
from pydantic import Field

from ui.client import StudioClient, StudioError
from ui.components import data_of, view
from ui.links import REMEMBER, address, linked, parameters
from ui.pages.checkpoints import Choices, load_choices
from ui.pages.problems import refusal

_INTRODUCTION = """## Which tokens is the model unsure of?
All of the response is masked, and each checkpoint is asked once. Uncertain tokens (high entropy) get a high rate
β = √H: GIFT masks them more often than SFT does at the same time t.
"""


_DEFAULT_POWER, _MOST_POWER = 0.5, 2.0
_Power = Annotated[float, Field(ge=0, le=_MOST_POWER)]


class TokensPage:
    """`/tokens?experiment=…` or `/tokens?checkpoints=…,…&prompt=…&response=…`."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(_INTRODUCTION)
        link = gr.Textbox(visible=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                checkpoints = gr.Dropdown(
                    [], multiselect=True, max_choices=4, label="Checkpoints", elem_id="checkpoints"
                )
                example = gr.Dropdown(
                    [], label="Example", info="Held-out problems: no run on a built-in task learns from them."
                )
                prompt = gr.Textbox(label="Prompt", lines=5, max_lines=16, max_length=20_000, elem_id="prompt")
                response = gr.Textbox(label="Response", lines=4, max_lines=16, max_length=20_000, elem_id="response")
                power = gr.Slider(
                    0, _MOST_POWER, value=_DEFAULT_POWER, step=0.05, label="Power", info="Masking rate β = H ** power."
                )
                inspect = gr.Button("Inspect", variant="primary", elem_id="inspect")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "tokens-problems")
                inspection = view("inspection", "inspection")
        text = [checkpoints, prompt, response, power]
        shown = [inspection, problems, link]
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": inspection}
        demo.load(self._open, None, [checkpoints, example, prompt, response, power], **options).then(
            self._inspect, text, shown, **options
        )
        example.input(self._fill, example, [prompt, response], **options).then(
            self._inspect, text, shown, **options
        ).then(None, link, None, js=REMEMBER)
        # always_last: where the slider was let go while another inspection ran is what is shown in the end.
        gr.on([inspect.click, power.release], self._inspect, text, shown, trigger_mode="always_last", **options).then(
            None, link, None, js=REMEMBER
        )

    def _open(self, request: gr.Request) -> tuple[Any, Any, str, str, float]:
        choices = self._choices(request)
        first = choices.first
        given = parameters(request)
        prompt, response = given.get("prompt", first.prompt), given.get("response", first.response)
        power = linked(given, "power", _Power, _DEFAULT_POWER)
        return choices.checkpoint_input(), choices.example_input(prompt), prompt, response, power

    def _choices(self, request: gr.Request) -> Choices:
        try:
            return load_choices(self._client, request)
        except StudioError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    def _fill(self, title: str) -> tuple[str, str]:
        example = next(each for each in self._client.examples() if each.title == title)
        return example.prompt, example.response

    def _inspect(self, checkpoints: list[str], prompt: str, response: str, power: float) -> tuple[str, str, str]:
        try:
            found = self._client.inspect(checkpoints, prompt, response, power)
        except StudioError as error:
            return "", refusal("Nothing to show", error), ""
        return (
            data_of(found),
            "",
            address("tokens", checkpoints=checkpoints, prompt=prompt, response=response, power=f"{power:g}"),
        )
