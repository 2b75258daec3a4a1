"""Runs: one experiment's runs and curves, live, beside the list of all."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import gradio as gr

from api.schemas import ExperimentDetail, RunView
from ui.client import StudioClient
from ui.components import data_of, view
from ui.connection import StudioError
from ui.links import FROM, address, parameters
from ui.pages.launch_preflight import key_of
from ui.pages.problems import refusal
from ui.pages.queue import act_on

_LISTED = 50
# As the browser reaches it from this page.
_API = "api/v1"
_LINKS = {
    "tokens": "tokens?experiment={experiment}",
    "denoise": "denoise?experiment={experiment}",
    "clone": f"./?{FROM}={{run}}",
    "again": f"./?{FROM}={{experiment}}",
}


class RunsPage:
    """`/runs?experiment=…`; the newest experiment without a parameter."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        problems = view("problems", "runs-problems")
        with gr.Row(equal_height=False):
            with gr.Column(scale=9, min_width=320):
                runs = view("runs", "runs")
            with gr.Column(scale=3, min_width=240):
                gr.Markdown("### Experiments")
                experiments = view("experiments", "experiments")
        demo.load(self._open, None, [experiments, runs, problems], api_visibility="private", show_progress_on=runs)
        # Two presses on two runs are two requests, also while the first is answered.
        runs.submit(self._act, None, problems, api_visibility="private", trigger_mode="multiple")

    def _open(self, request: gr.Request) -> tuple[str, str, str]:
        try:
            listed = self._client.experiments(limit=_LISTED)
            by_experiment: defaultdict[str, list[RunView]] = defaultdict(list)
            for run in self._client.runs(limit=4 * _LISTED):
                by_experiment[run.experiment_id].append(run)
        except StudioError as error:
            return "", "", refusal("This cannot be shown", error)
        wanted = parameters(request).get("experiment") or (listed[0].id if listed else None)
        opened, trouble = self._find(wanted)
        entries = [
            {
                "id": experiment.id,
                "name": experiment.name,
                "created": experiment.created,
                "href": address("runs", experiment=experiment.id),
                "runs": [
                    {"id": run.id, "label": run.label, "state": run.state}
                    for run in sorted(by_experiment[experiment.id], key=lambda run: run.position)
                ],
            }
            for experiment in listed
        ]
        board = {"experiment": opened.id, "name": opened.name, "api": _API, "links": _LINKS} if opened else None
        return data_of({"selected": wanted, "api": _API, "experiments": entries}), data_of(board), trouble

    def _find(self, wanted: str | None) -> tuple[ExperimentDetail | None, str]:
        """The experiment to show, and what is to be said where there is none: the list stays to choose from."""
        if wanted is None:
            return None, ""
        try:
            return self._client.experiment(wanted), ""
        except StudioError as error:
            return None, refusal("This cannot be shown", error)

    def _act(self, event: gr.EventData) -> str:
        data: dict[str, Any] = event._data or {}
        name, run = str(data.get("name")), str(data.get("run"))
        try:
            if name == "train_on":
                self._train_on(run, data.get("epochs"), data.get("key"))
            else:
                act_on(self._client, name, run)
        except StudioError as error:
            return refusal("That was not done", error)
        return ""

    def _train_on(self, run: str, epochs: Any, nonce: Any) -> None:
        """Pressed twice it is one run; the backend judges the number."""
        self._client.continue_job(run, epochs, key=key_of({"run": run, "epochs": epochs, "nonce": nonce}))
