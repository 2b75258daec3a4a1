"""Runs: one experiment's runs and curves, live, beside the list of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import gradio as gr

from api.schemas import ExperimentDetail, RunView
from ui.client import StudioClient
from ui.components import NOTHING, data_of, view
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
    """`/runs?experiment=…` or `/runs?run=…`; the newest experiment without a parameter."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        problems = view("problems", "runs-problems")
        with gr.Row(equal_height=False):
            with gr.Column(scale=9, min_width=320):
                runs = view("runs", "runs")
            with gr.Column(scale=3, min_width=240):
                gr.Markdown("### Experiments")
                experiments = view("experiments", "experiments")
        # Answered at once, and so without the queue, for whose answers a tab holds a connection open.
        options: dict[str, Any] = {"api_visibility": "private", "queue": False}
        demo.load(self._open, None, [experiments, runs, problems], show_progress_on=runs, **options)
        # Two presses on two runs are two requests, also while the first is answered.
        runs.submit(self._act, None, problems, trigger_mode="multiple", **options)

    def _open(self, request: gr.Request) -> tuple[str, str, str]:
        try:
            listed = self._client.experiments(limit=_LISTED)
            by_experiment: defaultdict[str, list[RunView]] = defaultdict(list)
            for run in self._client.runs(limit=4 * _LISTED):
                by_experiment[run.experiment_id].append(run)
        except StudioError as error:
            return NOTHING, NOTHING, refusal("This cannot be shown", error)
        newest = listed[0].id if listed else None
        opened, trouble = self._find(parameters(request), newest)
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
        board = {"experiment": opened.id, "name": opened.name, "api": _API, "links": _LINKS} if opened else {}
        selected = opened.id if opened else None
        return data_of({"selected": selected, "api": _API, "experiments": entries}), data_of(board), trouble

    def _find(self, given: Mapping[str, str], newest: str | None) -> tuple[ExperimentDetail | None, str]:
        """The experiment to show, which a link may name by one of its runs; and what is to be said where there is no
        such thing: the list stays to choose from."""
        try:
            wanted = given.get("experiment") or (
                self._client.run(given["run"]).experiment_id if "run" in given else newest
            )
            return (self._client.experiment(wanted) if wanted else None), ""
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
