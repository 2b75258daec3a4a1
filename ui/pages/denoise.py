"""Denoise: watch checkpoints fill the same prompt step by step, on the same noise."""

from __future__ import annotations

from typing import Annotated, Any

import gradio as gr

from gift_core.spec import SamplingSpec, Seed
from ui.client import StudioClient, StudioError
from ui.components import data_of, view
from ui.forms import field_of, input_for, nested, shown
from ui.links import REMEMBER, address, linked, parameters
from ui.pages.checkpoints import Choices, load_choices
from ui.pages.problems import refusal

_INTRODUCTION = """## How does an answer come about?
The response starts fully masked. At every step each checkpoint commits the tokens it is most confident of.
"""
_FIELDS = tuple(f"sampling.{name}" for name in SamplingSpec.model_fields)
_DEFAULT_SEED = 1


class DenoisePage:
    """`/denoise?experiment=…` or `/denoise?checkpoints=…,…&prompt=…&seed=…&steps=…`."""

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
                with gr.Accordion("Sampling", open=False):
                    sampling = [input_for(field_of(path)) for path in _FIELDS]
                    seed = gr.Number(
                        _DEFAULT_SEED, precision=0, minimum=0, label="Seed", info="Unused at temperature 0."
                    )
                denoise = gr.Button("Denoise", variant="primary", elem_id="denoise-button")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "denoise-problems")
                player = view("denoise", "denoise")
        settings = [checkpoints, prompt, seed, *sampling]
        outputs = [player, problems, link]
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": player}
        demo.load(self._open, None, [checkpoints, example, prompt, seed, *sampling], **options).then(
            self._denoise, settings, outputs, **options
        )
        example.input(self._fill, example, prompt, **options).then(self._denoise, settings, outputs, **options).then(
            None, link, None, js=REMEMBER
        )
        denoise.click(self._denoise, settings, outputs, **options).then(None, link, None, js=REMEMBER)

    def _open(self, request: gr.Request) -> tuple[Any, ...]:
        choices = self._choices(request)
        given = parameters(request)
        prompt = given.get("prompt", choices.first.prompt)
        seed = linked(given, "seed", Seed, _DEFAULT_SEED)
        sampling = [
            shown(linked(given, name, Annotated[info.annotation, info], info.default))
            for name, info in SamplingSpec.model_fields.items()
        ]
        return choices.checkpoint_input(), choices.example_input(prompt), prompt, seed, *sampling

    def _choices(self, request: gr.Request) -> Choices:
        try:
            return load_choices(self._client, request)
        except StudioError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error

    def _fill(self, title: str) -> str:
        return next(each for each in self._client.examples() if each.title == title).prompt

    def _denoise(self, checkpoints: list[str], prompt: str, seed: int, *sampling: Any) -> tuple[str, str, str]:
        values = nested(dict(zip(_FIELDS, sampling, strict=True))).get("sampling", {})
        try:
            traces = self._client.denoise(checkpoints, prompt, values, seed)
        except StudioError as error:
            return "", refusal("Nothing to play", error), ""
        defaults = SamplingSpec()
        changed = {name: str(value) for name, value in values.items() if str(value) != str(getattr(defaults, name))}
        link = address("denoise", checkpoints=checkpoints, prompt=prompt, seed=str(seed), **changed)
        return data_of({"traces": [trace.model_dump(mode="json") for trace in traces]}), "", link
