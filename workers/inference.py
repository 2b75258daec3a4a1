"""Inspect and denoise with any checkpoint of the studio: a few models kept in memory, one computation at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gift_core.documents import DatasetPreview, Inspection, Trace
from gift_core.errors import ModelError
from gift_core.spec import FileSource, ObjectiveSpec, RunSpec, SamplingSpec, TaskSource

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from workers.studio import Checkpoint, Studio

_KEPT_MODELS = 6


@dataclass(frozen=True)
class HeldOutExample:
    """A prompt with its right answer that no built-in experiment trains on."""

    title: str
    prompt: str
    response: str


class InferenceService:
    """Synchronous and CPU heavy: call it from a thread. torch is imported on first use, not when the server starts."""

    def __init__(self, studio: Studio, threads: int) -> None:
        self._studio = studio
        self._threads = threads
        self._models: OrderedDict[str, DiffusionModel] = OrderedDict()
        # Two forward passes at once on the same cores take longer than one after the other.
        self._lock = threading.Lock()

    def inspect(self, checkpoints: Sequence[str], prompt: str, response: str, power: float) -> Inspection:
        """Entropy, rates and top-k of each checkpoint; raises `ModelError` or `SpecError`."""
        from gift_core.inspection import inspect

        with self._lock:
            models = [(name, self._checkpoint(name).label, self._model(name)) for name in checkpoints]
            return inspect(models, prompt, response, ObjectiveSpec(power=power))

    def denoise(self, checkpoints: Sequence[str], prompt: str, sampling: SamplingSpec, seed: int) -> list[Trace]:
        """One trace for each checkpoint, on the same noise; raises `ModelError` or `SpecError`."""
        from gift_core.tracing import trace

        with self._lock:
            return [
                trace(
                    self._model(name),
                    prompt,
                    sampling,
                    seed,
                    checkpoint=name,
                    label=self._checkpoint(name).label,
                )
                for name in checkpoints
            ]

    def preview(self, run: RunSpec, start: int, rows: int) -> DatasetPreview:
        """How rows `start` to `start + rows` look to the run's model; raises `DataError` or `ModelError`."""
        from gift_core.data.files import read_examples
        from gift_core.data.previews import preview
        from gift_core.data.sources import load_split
        from gift_core.models.catalogue import find_model
        from gift_core.models.loading import load_tokenizer

        find_model(run.model.name)
        source = run.data.source
        if isinstance(source, FileSource):
            path = self._studio.datasets.path(source.dataset)
            contents = read_examples(path, source.prompt_column, source.response_column)
            examples = contents.examples
            columns = (contents.columns, contents.prompt_column, contents.response_column)
        else:
            examples = load_split(run.data, self._studio.datasets.path).training
            columns = (["prompt", "response"], "prompt", "response")
        tokenizer = load_tokenizer(run.model.name)
        return preview(examples, columns, tokenizer, run.data, run.sampling, slice(start, start + rows))

    def examples(self, count: int) -> list[HeldOutExample]:
        """Held-out Sudoku puzzles with their solutions."""
        from gift_core.tasks import sudoku

        source = TaskSource()
        puzzles = sudoku.generate(0, source.min_blanks, source.max_blanks, source.seed, count)[1]
        return [
            HeldOutExample(
                f"Sudoku {number}, {puzzle.clues.count('0')} blanks",
                sudoku.prompt(puzzle),
                sudoku.response(puzzle),
            )
            for number, puzzle in enumerate(puzzles, start=1)
        ]

    def _checkpoint(self, name: str) -> Checkpoint:
        known = {checkpoint.id: checkpoint for checkpoint in self._studio.checkpoints()}
        if name not in known:
            raise ModelError(
                f"There is no checkpoint called {name!r}.",
                field="checkpoints",
                remedy="Choose a base model or a finished run.",
            )
        return known[name]

    def _model(self, name: str) -> DiffusionModel:
        import torch

        from gift_core.models.loading import load_base, load_checkpoint

        torch.set_num_threads(self._threads)
        if name not in self._models:
            directory = self._checkpoint(name).directory
            self._models[name] = load_checkpoint(directory) if directory else load_base(name)
            while len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]
