"""Inspect and denoise with any checkpoint of the studio: a few models kept in memory, one computation at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gift_core.documents import DatasetPreview, Inspection, Trace
from gift_core.errors import ModelError
from gift_core.recording import InspectionRequest, Recording, TraceRequest
from gift_core.spec import FileSource, ObjectiveSpec, RunSpec, SamplingSpec, TaskName, TaskSource

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from workers.studio import Checkpoint, Studio

_KEPT_MODELS = 6


@dataclass(frozen=True)
class HeldOutExample:
    """A prompt with its right answer that no built-in experiment trains on."""

    task: TaskName
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
        known = [self._checkpoint(name) for name in checkpoints]
        request = InspectionRequest(checkpoints=tuple(checkpoints), prompt=prompt, response=response, power=power)
        for kept in self._recording.inspections:
            if kept.request == request:
                return kept.inspection
        from gift_core.inspection import inspect

        with self._lock:
            models = [(checkpoint.id, checkpoint.label, self._model(checkpoint)) for checkpoint in known]
            return inspect(models, prompt, response, ObjectiveSpec(power=power))

    def denoise(self, checkpoints: Sequence[str], prompt: str, sampling: SamplingSpec, seed: int) -> list[Trace]:
        """One trace for each checkpoint, on the same noise; raises `ModelError` or `SpecError`."""
        known = [self._checkpoint(name) for name in checkpoints]
        request = TraceRequest(checkpoints=tuple(checkpoints), prompt=prompt, sampling=sampling, seed=seed)
        for kept in self._recording.traces:
            if kept.request == request:
                return kept.traces
        from gift_core.tracing import trace

        with self._lock:
            return [
                trace(self._model(checkpoint), prompt, sampling, seed, checkpoint=checkpoint.id, label=checkpoint.label)
                for checkpoint in known
            ]

    @cached_property
    def _recording(self) -> Recording:
        """What the pages ask for first in a new studio is answered from it: no model has to be loaded for that."""
        return Recording.bundled()

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
        """`count` held-out problems of each built-in task with their reference responses."""
        from gift_core.data.sources import task_problems
        from gift_core.tasks.registry import TASKS

        return [
            HeldOutExample(name, f"{task.title} {number}: {problem.title}", problem.prompt, problem.response)
            for name, task in TASKS.items()
            for number, problem in enumerate(task_problems(TaskSource(task=name, examples=1), count)[1], start=1)
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

    def _model(self, checkpoint: Checkpoint) -> DiffusionModel:
        import torch

        from gift_core.models.loading import load_base, load_checkpoint

        torch.set_num_threads(self._threads)
        name, directory = checkpoint.id, checkpoint.directory
        if name not in self._models:
            self._models[name] = load_checkpoint(directory) if directory else load_base(name)
            while len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]
