"""A person's own data on the launch page: a file or a split of the Hub, and which of its columns are read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from api.dataset_views import DatasetDetail
from gift_core.data_spec import ColumnMapping, FileSource
from ui.client import StudioClient
from ui.components import kept
from ui.connection import StudioError
from ui.forms import file_source
from ui.pages.known_data import REASONING, REASONING_HELP
from ui.pages.problems import refusal

_UPLOAD_LABEL = "JSONL, JSON, CSV or Parquet: prompt and response, Alpaca, ShareGPT, or chat messages"
_UPLOAD_TYPES = [".jsonl", ".ndjson", ".json", ".csv", ".parquet"]
_LAYOUTS = (
    ("Find out", "auto"),
    ("Prompt and response columns", "pairs"),
    ("Alpaca: instruction, input, output", "alpaca"),
    ("ShareGPT: conversations of from and value", "sharegpt"),
    ("Messages of role and content", "messages"),
)
_LABELS = {
    "prompt_column": "Prompt column",
    "response_column": "Response column",
    "conversation_column": "Conversation column",
    "system_column": "System prompt column",
    "context_column": "Context column",
    "reasoning_column": "Reasoning column",
    "history_column": "Column of earlier turns",
}
_PAIR = {"prompt_column", "response_column", "context_column", "reasoning_column", "history_column"}
# What a layout has no use for.
_UNUSED = {
    "pairs": {"conversation_column"},
    "alpaca": {"conversation_column"},
    "sharegpt": _PAIR,
    "messages": _PAIR,
}
_LAYOUT_HELP = "Find out goes by the columns' names."
_HUB_HELP = "The studio asks the Hub, keeps what it fetched as a data set of its own, and notes the commit."


class OwnData:
    """The inputs below "My own file". `arrived` changes whenever a file was taken in or refused."""

    def __init__(self, client: StudioClient) -> None:
        self._client = client
        self.dataset = kept()
        # What a refused file was told, as a `problems` view takes it.
        self.refused = kept()
        self.arrived = kept()

    def lay_out(self) -> None:
        """Draw the inputs here."""
        # Of a data set that came without a file nothing else on the page says what it is.
        self._held = gr.Textbox(label="Data set", visible=False, interactive=False, elem_id="held-dataset")
        self._upload = gr.File(label=_UPLOAD_LABEL, file_types=_UPLOAD_TYPES, elem_id="upload", height=140)
        with gr.Accordion("Or from the Hugging Face Hub", open=False, elem_id="section-hub"):
            gr.Markdown(_HUB_HELP, elem_classes="form-help")
            with gr.Row():
                self._repository = gr.Textbox(label="Data set", placeholder="owner/name", max_length=200, min_width=160)
                self._config = gr.Textbox(
                    label="Configuration", placeholder="the only one", max_length=200, min_width=100
                )
                self._split = gr.Textbox("train", label="Split", max_length=200, min_width=100)
                self._revision = gr.Textbox(label="Revision", placeholder="the newest", max_length=200, min_width=100)
            self._fetch = gr.Button("Fetch", elem_id="fetch-dataset")
        with gr.Row():
            layout = gr.Dropdown(
                list(_LAYOUTS), value="auto", label="Layout", info=_LAYOUT_HELP, min_width=240, elem_id="layout"
            )
            reasoning = gr.Dropdown(
                REASONING,
                value=ColumnMapping().reasoning,
                label="Reasoning",
                info=REASONING_HELP,
                min_width=240,
                elem_id="reasoning",
            )
        with gr.Row():
            columns = {
                # What a refused file is called inside is not known here, so a name may be typed.
                name: gr.Dropdown(
                    [], value=None, label=label, allow_custom_value=True, min_width=160, elem_id=name.replace("_", "-")
                )
                for name, label in _LABELS.items()
            }
        self.mapping: dict[str, Any] = {"layout": layout, **columns, "reasoning": reasoning}

    @property
    def inputs(self) -> set[Any]:
        """What a run's source is made of."""
        return {self.dataset, self.refused, *self.mapping.values()}

    @property
    def named(self) -> dict[str, Any]:
        """The inputs that say which data set is read, and how, by name."""
        return {"own.dataset": self.dataset} | {f"own.{name}": part for name, part in self.mapping.items()}

    def source(self, values: Mapping[Any, Any]) -> dict[str, Any] | None:
        """The source of a run from the values of `inputs`; None while no data set is there."""
        dataset = values[self.dataset]
        return (
            file_source(dataset, **self._chosen([values[part] for part in self.mapping.values()])) if dataset else None
        )

    @property
    def filled_inputs(self) -> list[Any]:
        """What `filled` sets."""
        return [self.dataset, self.arrived, self._held, *self.mapping.values()]

    def filled(self, source: FileSource) -> dict[Any, Any]:
        """The inputs set to a data set that the studio has, and the columns that a run read. Raises `StudioError`."""
        detail = self._client.dataset(source.dataset)
        choices = detail.summary.columns if detail.summary else []
        unused = _UNUSED.get(source.layout, set())
        return {
            self.dataset: source.dataset,
            self.arrived: _now(),
            self._held: _held(detail),
            self.mapping["layout"]: source.layout,
            self.mapping["reasoning"]: source.reasoning,
            **{
                self.mapping[name]: gr.update(choices=choices, value=getattr(source, name), visible=name not in unused)
                for name in _LABELS
            },
        }

    def emptied(self) -> dict[Any, Any]:
        """The inputs without a data set."""
        return dict(zip(self._received, self._nothing(""), strict=True))

    @property
    def _received(self) -> list[Any]:
        """What a file that was taken in or refused sets."""
        return [self.dataset, self.refused, self.arrived, self._held, *self.mapping.values()]

    def values(self, source: FileSource) -> dict[Any, Any]:
        """What `source` reads, as `filled` sets it."""
        mapping = {part: getattr(source, name) for name, part in self.mapping.items()}
        return {self.dataset: source.dataset, self.refused: "", **mapping}

    def wire(self, shows_progress: gr.HTML) -> None:
        """Take in files; what they hold is drawn by whoever listens to `arrived`."""
        outputs = self._received
        options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": shows_progress}
        self._upload.change(self._receive, self._upload, outputs, **options)
        where = [self._repository, self._config, self._split, self._revision]
        self._fetch.click(self._receive_from_hub, where, outputs, **options)
        layout = self.mapping["layout"]
        layout.change(_visible, layout, [self.mapping[name] for name in _LABELS], queue=False, api_visibility="private")
        gr.on(
            [part.input for part in self.mapping.values()],
            self._try_again,
            [self._upload, self.dataset, *self.mapping.values()],
            [self.dataset, self.refused, self.arrived, self._held],
            **options,
        )

    def _receive(self, path: str | None) -> list[Any]:
        """Hand an uploaded file to the backend; its columns are those that the backend found."""
        if path is None:
            return self._nothing("")
        try:
            return self._taken(self._client.upload(Path(path), Path(path).name))
        except StudioError as error:
            return self._nothing(refusal("This file cannot be used", error))

    def _receive_from_hub(self, repository: str, config: str, split: str, revision: str) -> list[Any]:
        given = {"dataset": repository.strip(), "config": config, "split": split, "revision": revision}
        try:
            return self._taken(self._client.fetch_dataset({name: value for name, value in given.items() if value}))
        except StudioError as error:
            return self._nothing(refusal("This data set cannot be used", error))

    def _try_again(self, path: str | None, dataset: str | None, *mapping: str | None) -> list[Any]:
        """A refused file may be usable by other columns; one that was taken in is there already."""
        if path is None or dataset:
            return [gr.skip()] * 4
        try:
            detail = self._client.upload(Path(path), Path(path).name, mapping=self._chosen(mapping))
        except StudioError as error:
            return [None, refusal("This file cannot be used", error), _now(), gr.update(visible=False)]
        return [detail.id, "", _now(), _held(detail)]

    def _chosen(self, values: Any) -> dict[str, str]:
        """The fields of the mapping that were chosen and that the layout reads."""
        chosen = {name: value for name, value in zip(self.mapping, values, strict=True) if value}
        unused = _UNUSED.get(chosen.get("layout", "auto"), set())
        return {name: value for name, value in chosen.items() if name not in unused}

    def _taken(self, detail: DatasetDetail) -> list[Any]:
        summary = detail.summary
        # What was found by itself, as a person would have chosen it.
        found = summary.mapping if summary and summary.mapping else ColumnMapping()
        choices = summary.columns if summary else []
        updates = [gr.update(choices=choices, value=getattr(found, name)) for name in _LABELS]
        return [detail.id, "", _now(), _held(detail), found.layout, *updates, found.reasoning]

    @staticmethod
    def _nothing(refused: str) -> list[Any]:
        unset = ColumnMapping()
        return [
            None,
            refused,
            _now(),
            gr.update(visible=False),
            unset.layout,
            *[gr.update(choices=[], value=None)] * len(_LABELS),
            unset.reasoning,
        ]


def _held(detail: DatasetDetail) -> Any:
    rows = "1 row" if detail.rows == 1 else f"{detail.rows:,} rows"
    return gr.update(value=f"{detail.name}, {rows}", visible=True)


def _visible(layout: str) -> list[Any]:
    return [gr.update(visible=name not in _UNUSED.get(layout, set())) for name in _LABELS]


def _now() -> str:
    """A value that was never there before, so that its change is noticed."""
    return uuid.uuid4().hex
