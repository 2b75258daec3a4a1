"""The part of the launch page that says how the runs are queued; nothing of it changes their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gradio as gr

from api.job_views import WorkerView
from gift_core.errors import Problem
from ui.forms import field_id

SECTION = "section-queue"
_NAMES = ("priority", "devices", "device", "stop_on_failure")
_ANY = ("Any", "")
_WIDTH = 150
# Where each is on the page: its element, and the section that has to be open.
QUEUE_PLACES: Mapping[str, tuple[str, str]] = MappingProxyType({name: (field_id(name), SECTION) for name in _NAMES})


class QueueOptions:
    """Inputs for what `POST /experiments` takes beside the spec; the backend judges them."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def lay_out(self) -> None:
        with gr.Accordion("Advanced: queue", open=False, elem_id=SECTION):
            with gr.Row():
                self._parts["priority"] = _number("priority", 0, "Priority", "The highest goes first.")
                self._parts["devices"] = _number("devices", 1, "Devices for each run", "All on one host.")
                self._parts["device"] = gr.Dropdown(
                    [_ANY],
                    value="",
                    label="Device",
                    info="Or a kind of them.",
                    min_width=_WIDTH,
                    elem_id=field_id("device"),
                )
            self._parts["stop_on_failure"] = gr.Checkbox(
                value=False,
                label="Stop on failure",
                info="When one of the runs fails, those that still wait are stopped.",
                elem_id=field_id("stop_on_failure"),
            )

    @property
    def inputs(self) -> list[Any]:
        return list(self._parts.values())

    @property
    def named(self) -> dict[str, Any]:
        """The inputs by name."""
        return {f"queue.{name}": part for name, part in self._parts.items()}

    @property
    def device(self) -> Any:
        """The input whose choices are the devices there are."""
        return self._parts["device"]

    def given(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What was entered, without what was left empty."""
        entered = {name: values[part] for name, part in self._parts.items()}
        return {name: value for name, value in entered.items() if value not in (None, "")}

    def filled(
        self, queued: Mapping[str, Any], devices: Sequence[tuple[str, str]]
    ) -> tuple[dict[Any, Any], list[Problem]]:
        """The inputs' values for what was given before, and what of it there is not; `devices` are the choices."""
        values = {self._parts[name]: value for name, value in queued.items()}
        device = queued.get("device", "")
        if device in (value for _, value in devices):
            return values, []
        gone = Problem(f"No worker has {device} now; it is any device here.", "device", "Choose another.")
        return values | {self.device: ""}, [gone]


def _number(name: str, value: int, label: str, info: str) -> gr.Number:
    return gr.Number(value, precision=0, label=label, info=info, min_width=_WIDTH, elem_id=field_id(name))


def device_choices(workers: Sequence[WorkerView]) -> list[tuple[str, str]]:
    """The kinds of devices that workers have and, where there are several of a kind, each by its name."""
    titles = {device.name: device.title for worker in workers for device in worker.devices}
    kinds = dict.fromkeys(name.partition(":")[0] for name in titles)
    named = [(f"{name}: {title}", name) for name, title in titles.items() if name not in kinds]
    return [_ANY, *((f"Any {kind}", kind) for kind in kinds), *named]
