"""The browser components of `ui/static` as Gradio components: data goes in once, actions come back as events."""

from __future__ import annotations

import json
from typing import Any, Literal

import gradio as gr
from pydantic import BaseModel

Module = Literal[
    "dataset",
    "denoise",
    "draft",
    "evaluation",
    "evaluations",
    "experiments",
    "inspection",
    "origin",
    "preflight",
    "preview",
    "problems",
    "queue",
    "runs",
]

# The template holds no data: whatever a token says, it reaches the page as text set by the module.
_TEMPLATE = '<div class="gift-host"></div>'
_ON_LOAD = """
const host = element.querySelector('.gift-host');
const root = (window.gradio_config?.root ?? '').replace(/\\/$/, '');
import(`${root}/components/%s.js`).then(({ mount }) => {
  let taken;
  const read = () => {
    taken = props.value;
    return taken ? JSON.parse(taken) : null;
  };
  const view = mount(host, { data: read(), onAction: (name, payload) => trigger('submit', { name, ...payload }) });
  // Gradio also tells of a value that was there already when the module had loaded: drawn once more, it would take away
  // what was done with it meanwhile.
  watch('value', () => props.value === taken || view.update(read()));
});
"""


def view(module: Module, elem_id: str) -> gr.HTML:
    """An empty view; set it with `data_of(...)`. Actions arrive as `submit` events with their payload."""
    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=_ON_LOAD % module,
        elem_id=elem_id,
        elem_classes=["gs-view", f"gs-view-{module}"],
        container=False,
        padding=False,
    )


def kept(value: str = "") -> gr.Textbox:
    """Return a value that the page holds and does not show.

    It takes the place of `gr.State`, for which every tab would hold a connection (Gradio's heartbeat) for as long as it
    is open; a browser has six for a host. As it comes from the browser it is judged like everything that was typed.
    """
    # "hidden" rather than False: only what is in the document tells of its changes.
    return gr.Textbox(value, visible="hidden")


def is_problem_box(part: Any) -> bool:
    """Whether a component is a `problems` view."""
    return "gs-view-problems" in (getattr(part, "elem_classes", None) or ())


# What a view takes where there is nothing to show; until it has something, or this, it says that it is loading.
NOTHING = "{}"


def data_of(value: BaseModel | dict[str, Any] | list[Any] | None) -> str:
    """A document as the JSON text that a view takes."""
    if value is None:
        return ""
    return value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value)
