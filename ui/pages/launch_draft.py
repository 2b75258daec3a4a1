"""The draft of the launch form: what was entered survives a reload and a restart of the studio."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import gradio as gr

from ui.components import data_of, view

# Runs in the browser, also while the studio does not answer.
_ENTERED = """(...entered) => {
  const names = %s;
  return JSON.stringify({ values: Object.fromEntries(names.map((name, place) => [name, entered[place]])) });
}"""
_SENT = data_of({"sent": True})


class LaunchDraft:
    """The view that keeps the draft in the browser; `inputs` are the form's inputs by a name that stays the same."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._inputs = inputs
        self.view = view("draft", "draft")

    @property
    def restored(self) -> gr.events.EventListener:
        """The event of filling the form with a draft, or with its defaults."""
        return self.view.submit

    def watch(self) -> None:
        """Keep what is entered, whenever one of the inputs changes."""
        gr.on(
            [part.change for part in self._inputs.values()],
            None,
            list(self._inputs.values()),
            self.view,
            js=_ENTERED % json.dumps(list(self._inputs)),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def opened(self, form: str, filled: Mapping[Any, Any]) -> str:
        """Tell the view that the page has filled its form with `filled`; `form` names where that came from."""
        defaults = {name: _value(filled.get(part, part.value)) for name, part in self._inputs.items()}
        return data_of({"opened": uuid.uuid4().hex, "form": form, "defaults": defaults})

    def values(self, event: gr.EventData) -> dict[Any, Any]:
        """Return the values that the browser asks to fill in; an input that it does not name keeps its first value."""
        given: Any = (event._data or {}).get("values")
        known = given if isinstance(given, dict) else {}
        return {part: known.get(name, part.value) for name, part in self._inputs.items()}

    @staticmethod
    def sent() -> str:
        """Tell the view that the form was sent, so that its draft is not needed any more."""
        return _SENT


def _value(update: Any) -> Any:
    return update.get("value") if isinstance(update, dict) else update
