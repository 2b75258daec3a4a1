"""The panel of the launch page that says what a launch would take, while the form is being filled in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from ui.client import StudioClient
from ui.components import data_of, view
from ui.connection import StudioError
from ui.forms import SECTIONS, field_id, section_id, task_fields
from ui.pages.launch_queue import QUEUE_PLACES

# Fields with an input that the form does not make from the schema.
_OF_THE_PAGE = {
    "model.name": "model",
    "data.source.dataset": "upload",
    "data.source.kind": "kind",
    "row": "preview",
    "line": "preview",
    "methods": "methods",
    "seeds": "seeds",
    "name": "name",
}
# Looks of all visitors that are made side by side.
_LOOKS_AT_ONCE = 2


class PreflightPanel:
    """`experiment` makes of the page's inputs what a launch would send, or None while a file is still to come."""

    def __init__(self, client: StudioClient, experiment: Callable[[dict[Any, Any]], dict[str, Any] | None]) -> None:
        self._client = client
        self._experiment = experiment
        self._view = view("preflight", "preflight")

    def watch(self, inputs: set[Any]) -> None:
        """Look again whenever one of these inputs changes."""
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        # The browser waits for a pause before it asks for the look itself, which may take seconds.
        changes = [part.change for part in inputs]
        gr.on(changes, self._ask, inputs, self._view, queue=False, trigger_mode="always_last", **quiet)
        # Not the last alone: Gradio would send the first one's experiment again in its place.
        options = {"concurrency_limit": _LOOKS_AT_ONCE, "trigger_mode": "multiple"}
        self._view.submit(self._look, None, self._view, **options, **quiet)

    def _ask(self, values: dict[Any, Any]) -> str:
        experiment = self._experiment(values)
        key = "" if experiment is None else key_of(experiment)
        return data_of({"key": key, "experiment": experiment, "places": places()})

    def _look(self, event: gr.EventData) -> str:
        asked: dict[str, Any] = event._data or {}
        answer: dict[str, Any] = {"key": str(asked.get("key"))}
        try:
            report = self._client.preflight(asked.get("experiment"))
        except StudioError as error:
            return data_of(answer | {"problems": [problem.as_dict() for problem in error.problems]})
        return data_of(answer | {"report": report.model_dump(mode="json")})


def key_of(experiment: dict[str, Any]) -> str:
    """A name that equal experiments share."""
    return hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()[:16]


def places() -> dict[str, tuple[str, str]]:
    """Where each field is on the page: the id of its input, and of the section that has to be open."""
    by_section = {path: section_id(title) for title, paths in SECTIONS.items() for path in paths}
    by_section |= {field.path: "" for field in task_fields()}
    found = {path: (field_id(path), section) for path, section in by_section.items()}
    return found | {path: (element, "") for path, element in _OF_THE_PAGE.items()} | dict(QUEUE_PLACES)
