"""A well-known data set on the launch page: chosen from the catalogue, fetched once, and kept by the studio."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, get_args

import gradio as gr

from api.dataset_views import KnownDataset
from gift_core.data.catalogue import DATASETS, DatasetEntry
from gift_core.data_spec import ColumnMapping, ReasoningForm
from ui.client import StudioClient
from ui.components import kept, view
from ui.connection import StudioError
from ui.forms import file_source
from ui.pages.problems import refusal

REASONING_CHOICES = {
    "protocol": "As <reasoning> and <answer>",
    "think": "As a <think> block, then the answer",
    "omit": "Leave the reasoning out",
}
REASONING = [(REASONING_CHOICES[form], form) for form in get_args(ReasoningForm)]
REASONING_HELP = "If it is apart from the answer."
_HELP = "Choose a data set to see what it holds. The studio fetches it from the Hugging Face Hub once, and keeps it."
_OFFLINE = (
    "**This studio is kept off the network, so it cannot fetch it.** Download the file from the Hub on another machine "
    "and upload the file under *My own file*, or start the studio with `HF_HUB_OFFLINE=0`."
)
_NOT_FETCHED = "It has not been fetched yet: press **Fetch**."
_KEPT = "The studio has it."


class KnownData:
    """The inputs below "Well-known data set". `arrived` changes whenever one was chosen, fetched or refused."""

    def __init__(self, client: StudioClient) -> None:
        self._client = client
        self.dataset, self.arrived = kept(), kept()

    def lay_out(self) -> None:
        """Draw the inputs here."""
        with gr.Row():
            self._choice = gr.Dropdown(
                [(_titled(entry), entry.name) for entry in DATASETS],
                value=None,
                label="Data set",
                info="From the Hugging Face Hub.",
                min_width=240,
                elem_id="known-dataset",
            )
            self.reasoning = gr.Dropdown(
                REASONING,
                value=ColumnMapping().reasoning,
                label="Reasoning",
                info=REASONING_HELP,
                min_width=200,
                elem_id="known-reasoning",
            )
        self._facts = gr.Markdown(_HELP, elem_id="known-facts", elem_classes="form-help")
        self._fetch = gr.Button("Fetch", visible=False, elem_id="fetch-known")
        self._problems = view("problems", "known-problems")

    @property
    def inputs(self) -> set[Any]:
        """What a run's source is made of."""
        return {self.dataset, self._choice, self.reasoning}

    @property
    def named(self) -> dict[str, Any]:
        """The inputs that say which data set is read, and how, by name."""
        return {"known.choice": self._choice, "known.dataset": self.dataset, "known.reasoning": self.reasoning}

    @property
    def filled_inputs(self) -> list[Any]:
        """What `filled` sets."""
        return [self._choice, self.reasoning, *self._outputs]

    def filled(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """The inputs set to what `values` of those in `named` choose, as it is by now."""
        chosen = {part: values[part] for part in (self._choice, self.reasoning)}
        return chosen | dict(zip(self._outputs, self._choose(values[self._choice]), strict=True))

    @property
    def _outputs(self) -> list[Any]:
        return [self.dataset, self._problems, self.arrived, self._facts, self._fetch]

    def source(self, values: Mapping[Any, Any]) -> dict[str, Any] | None:
        """The source of a run from the values of `inputs`; None while no data set has been fetched."""
        dataset = values[self.dataset]
        return file_source(dataset, reasoning=values[self.reasoning]) if dataset else None

    def wire(self, shows_progress: gr.HTML) -> None:
        """Look up what is chosen and fetch it; what it holds is drawn by whoever listens to `arrived`."""
        outputs = self._outputs
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": shows_progress}
        self._choice.input(self._choose, self._choice, outputs, **options)
        self._fetch.click(self._receive, self._choice, outputs, **options)

    def _choose(self, name: str | None) -> list[Any]:
        try:
            return self._shown(self._find(name))
        except StudioError as error:
            return self._refused(error)

    def _receive(self, name: str | None) -> list[Any]:
        """Have the backend fetch the data set that was chosen."""
        try:
            if name:
                self._client.fetch_dataset({"dataset": name})
            return self._shown(self._find(name))
        except StudioError as error:
            return self._refused(error)

    def _find(self, name: str | None) -> KnownDataset | None:
        if not name:
            return None
        return next((known for known in self._client.dataset_catalogue().datasets if known.name == name), None)

    def _shown(self, known: KnownDataset | None) -> list[Any]:
        if known is None:
            return ["", "", _now(), _HELP, gr.update(visible=False)]
        state = _KEPT if known.kept else _NOT_FETCHED if known.available else _OFFLINE
        can_fetch = known.available and not known.kept
        return [known.kept or "", "", _now(), f"{_described(known)}\n\n{state}", gr.update(visible=can_fetch)]

    @staticmethod
    def _refused(error: StudioError) -> list[Any]:
        return ["", refusal("This data set cannot be used", error), _now(), gr.skip(), gr.skip()]


def _titled(entry: DatasetEntry) -> str:
    """An entry as a list names it."""
    return f"{entry.title} (used by the paper)" if entry.used_by_paper else entry.title


def _described(known: KnownDataset) -> str:
    rows = f"{known.rows:,} rows" if known.rows is not None else ""
    licence = f"licence {known.licence}" if known.licence else ""
    page = f"[{known.repository}](https://huggingface.co/datasets/{known.repository})"
    pinned = f"commit {known.revision[:7]}" if known.revision else ""
    paper = "used by the GIFT paper" if known.used_by_paper else ""
    return f"{known.learned} {', '.join(filter(None, [page, pinned, rows, licence, paper]))}."


def _now() -> str:
    """A value that was never there before, so that its change is noticed."""
    return uuid.uuid4().hex
