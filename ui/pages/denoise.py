"""Denoise: watch checkpoints fill the same prompt step by step, on the same noise, and go on from any step."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import gradio as gr
from pydantic import Field

from api.schemas import TraceView
from gift_core.errors import Problem
from gift_core.section import Seed
from gift_core.spec import SamplingSpec
from gift_core.trace import Trace
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
from ui.connection import StudioError
from ui.export import OFFLINE_ADDRESS
from ui.forms import nested, sampling_inputs, shown
from ui.links import REMEMBER, address, identifiers, linked, parameters
from ui.pages.checkpoints import checkpoint_dropdown, example_called, load_choices, need_checkpoints
from ui.pages.given_text import given_text, parse_given
from ui.pages.problems import problems_of, refusal

_INTRODUCTION = """## How does an answer come about?
A diffusion language model does not write from left to right: its answer starts as blanks, and each step fills in those
that it is surest of. Play the steps, see where two checkpoints part on the same noise, or change a token and go on.
"""
_GIVEN_INFO = (
    "What stands in the answer from the beginning, one piece a line: position: text, such as 3: So. "
    "Positions count tokens from 0; ⏎ is a line break."
)
_FIELDS = tuple(f"sampling.{name}" for name in SamplingSpec.model_fields)
_DEFAULT_SEED = 1
# As the browser reaches it from this page.
_API = "api/v1"
# What one stream can carry.
_MOST_PANES = 8
_Step = Annotated[int, Field(ge=0)]
_RUNNING, _MISSING = 409, 404


class Shown(NamedTuple):
    """What the player, the problems and the address bar get."""

    player: Any
    problems: Any
    link: Any


class DenoisePage:
    """`/denoise?experiment=…`, `/denoise?checkpoints=…,…&prompt=…&seed=…&steps=…` or `/denoise?traces=…,…&step=…`."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        gr.Markdown(_INTRODUCTION)
        link = gr.Textbox(visible=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                checkpoints = checkpoint_dropdown()
                example = gr.Dropdown(
                    [], label="Example", info="Held-out problems: no run on a built-in task learns from them."
                )
                prompt = gr.Textbox(label="Prompt", lines=5, max_lines=16, max_length=20_000, elem_id="prompt")
                with gr.Accordion("Sampling", open=False):
                    sampling = list(sampling_inputs().values())
                    seed = gr.Number(
                        _DEFAULT_SEED, precision=0, minimum=0, label="Seed", info="Unused at temperature 0."
                    )
                    given = gr.Textbox(
                        label="Given text", info=_GIVEN_INFO, lines=2, max_lines=8, max_length=20_000, elem_id="given"
                    )
                # Until the page has been filled there is nothing to ask for.
                denoise = gr.Button("Denoise", variant="primary", interactive=False, elem_id="denoise-button")
            with gr.Column(scale=9, min_width=320):
                problems = view("problems", "denoise-problems")
                player = view("denoise", "denoise")
        settings = [checkpoints, prompt, seed, given, *sampling]
        outputs = [player, problems, link]
        # Answered at once, and so without the queue, for whose answers a tab holds a connection open.
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": player, "queue": False}
        form = [checkpoints, example, prompt, seed, given, *sampling]
        demo.load(self._open, None, [denoise, *form, *outputs], **options)
        example.select(self._fill, example, [prompt, problems], **options).success(
            self._denoise, settings, outputs, **options
        ).then(None, link, None, js=REMEMBER)
        denoise.click(self._denoise, settings, outputs, **options).then(None, link, None, js=REMEMBER)
        player.submit(self._act, None, outputs, **options).then(None, link, None, js=REMEMBER)

    def _open(self, request: gr.Request) -> tuple[Any, ...]:
        """The form, and the traces of the link or those that the form asks for, if they are there.

        Following a link computes nothing: what is missing waits for the button. Something that the link names and that
        is not there is reported, and nothing is shown in its place.
        """
        asked = parameters(request)
        problems: list[Problem] = []
        identities = identifiers(asked, "traces", _MOST_PANES, problems)
        stored = self._stored(identities, problems)
        first = next((trace for trace in stored.values() if trace), None)
        given = {**_form_of(first), **asked} if first else asked
        choices = load_choices(self._client, request, [trace.start.checkpoint for trace in stored.values() if trace])
        problems += choices.problems
        prompt = given.get("prompt", choices.first.prompt)
        seed = linked(given, "seed", Seed, _DEFAULT_SEED, problems)
        sampling = [
            shown(linked(given, name, Annotated[info.annotation, info], info.default, problems))
            for name, info in SamplingSpec.model_fields.items()
        ]
        form = (choices.chosen, prompt, seed, given.get("given", ""), *sampling)
        step = linked(asked, "step", _Step, 0, problems) if "step" in asked else None
        if identities:
            traces = [_reopened(identity, trace) for identity, trace in stored.items()]
            found = Shown(_data(traces, step), "", gr.skip())
        elif choices.chosen:
            found = self._shown_before(*form, step=step)
        else:
            found = Shown(NOTHING, "", gr.skip())
        if problems:
            found = found._replace(problems=problems_of("Not everything in this link can be shown", *problems))
        return gr.update(interactive=True), choices.checkpoint_input(), choices.example_input(prompt), *form[1:], *found

    def _stored(self, identities: Sequence[str], problems: list[Problem]) -> dict[str, Trace | None]:
        """Finished traces by their ids, None for one that is not finished; an unknown one is added to `problems`."""
        found: dict[str, Trace | None] = {}
        for identity in identities:
            try:
                found[identity] = self._client.trace(identity)
            except StudioError as error:
                if error.status == _RUNNING:
                    found[identity] = None
                else:
                    problems += error.problems
        return found

    def _fill(self, title: str | None) -> tuple[Any, Any]:
        """The prompt of an example."""
        example = example_called(self._client, title)
        if example is None:
            raise StudioError([Problem("This example is not there any more.", remedy="Reload the page.")], 404)
        return example.prompt, ""

    def _shown_before(self, *form: Any, step: int | None) -> Shown:
        """What was denoised before with this form; nothing, and no problem, if it was not."""
        found = self._denoise(*form, step=step, compute=False)
        return found if found.link else found._replace(link=gr.skip())

    def _denoise(
        self,
        checkpoints: list[str] | None,
        prompt: str | None,
        seed: int | None,
        given: str | None,
        *sampling: Any,
        step: int | None = None,
        compute: bool = True,
    ) -> Shown:
        values = nested(dict(zip(_FIELDS, sampling, strict=True))).get("sampling", {})
        names: list[str] = []
        try:
            chosen = need_checkpoints(checkpoints)
            infill = parse_given(given or "")
            names = infill.names
            if seed is None:
                raise StudioError([Problem("There is no seed.", "seed", "Enter a whole number, such as 1.")], 422)
            started = self._client.start_traces(chosen, prompt or "", values, seed, infill.edits, compute=compute)
        except StudioError as error:
            if error.status == _MISSING and not compute:
                return Shown(NOTHING, "", "")
            return Shown(NOTHING, refusal("Nothing to play", error, names), "")
        defaults = SamplingSpec()
        changed = {
            name: str(value) for name, value in values.items() if str(value) != str(shown(getattr(defaults, name)))
        }
        link = address(
            "denoise",
            traces=[each.id for each in started],
            checkpoints=chosen,
            prompt=prompt or "",
            seed=str(seed),
            given=given or "",
            **changed,
        )
        return Shown(_data([_entry(each, names) for each in started], step), "", link)

    def _act(self, event: gr.EventData) -> Shown:
        """What the player asks for: stopping traces, or going on from one."""
        data: dict[str, Any] = event._data or {}
        try:
            if data.get("name") == "cancel":
                for identity in data.get("traces", []):
                    self._client.cancel_trace(str(identity))
                return Shown(gr.skip(), "", "")
            return self._branch(data)
        except StudioError as error:
            edits = [f"edit at position {edit.get('position')}" for edit in data.get("edits", [])]
            return Shown(gr.skip(), refusal("It was not done", error, edits), "")

    def _branch(self, data: Mapping[str, Any]) -> Shown:
        identities = list(dict.fromkeys(str(each) for each in data.get("traces", [])))
        edits = data.get("edits", [])
        if len(identities) >= _MOST_PANES:
            problem = Problem(f"{_MOST_PANES} traces are open already.", remedy="Close one of them.")
            return Shown(gr.skip(), problems_of("There is no room for another trace", problem), "")
        made = self._client.branch(str(data.get("trace")), int(data.get("cursor", 0)), edits)
        others = [{"id": identity, "label": "", "state": "running"} for identity in identities if identity != made.id]
        names = [f"edit at position {edit['position']}" for edit in edits]
        identities = [*(each["id"] for each in others), made.id]
        compare = sorted({identities.index(str(data.get("trace"))), len(others)}) if others else None
        document = _data([*others, _entry(made, names)], compare=compare)
        return Shown(document, "", address("denoise", traces=identities))


def _data(traces: Sequence[Mapping[str, Any]], step: int | None = None, compare: Sequence[int] | None = None) -> str:
    # Traces that were cancelled are made again under their ids: `asked` tells the view that it is another request.
    asked = time.time_ns()
    document = {
        "traces": traces,
        "step": step,
        "compare": compare,
        "api": _API,
        "offline": OFFLINE_ADDRESS,
        "asked": asked,
    }
    return data_of(document)


def _entry(trace: TraceView, edits: Sequence[str]) -> dict[str, Any]:
    return {"id": trace.id, "label": trace.label, "state": trace.state, "edits": list(edits)}


def _reopened(identity: str, trace: Trace | None) -> dict[str, Any]:
    label = trace.start.label if trace else identity
    return {"id": identity, "label": label, "state": "finished" if trace else "running"}


def _form_of(trace: Trace) -> dict[str, str]:
    """A trace's settings as parameters of a link."""
    start = trace.start
    values = {name: value for name, value in start.sampling.model_dump().items() if value is not None}
    fixed = {"prompt": start.prompt_text, "seed": start.seed, "given": given_text(trace)}
    return {name: str(value) for name, value in (values | fixed).items()}
