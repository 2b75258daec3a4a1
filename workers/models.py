"""The checkpoints that the pages look at, a few of them kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from gift_core.errors import ModelError
from workers.fairness.semaphore import FairSemaphore

if TYPE_CHECKING:
    from gift_core.models.loading import DiffusionModel
    from workers.studio import Checkpoint, Studio

KEPT_MODELS = 6


class ModelShelf:
    """Models by checkpoint. torch is imported on first use, not when the server starts.

    Hold a turn of `turns` to compute with a model, and to `load` one: two forward passes at once on the same cores
    take longer than one after the other.
    """

    def __init__(self, studio: Studio, threads: int) -> None:
        self.turns = FairSemaphore()
        self._studio = studio
        self._threads = threads
        self._models: OrderedDict[str, DiffusionModel] = OrderedDict()

    def checkpoint(self, name: str) -> Checkpoint:
        """Raises `ModelError` where there is no such checkpoint."""
        found = self._studio.find_checkpoint(name)
        if found is None:
            raise ModelError(
                f"There is no checkpoint called {name!r}.",
                field="checkpoints",
                remedy="Choose a base model or a finished run.",
            )
        return found

    def load(self, checkpoint: Checkpoint) -> DiffusionModel:
        """The model, from memory if it is there; raises `ModelError`. Call it while it is your turn."""
        import torch

        from gift_core.models.loading import load_base, load_checkpoint

        torch.set_num_threads(self._threads)
        name, directory = checkpoint.id, checkpoint.directory
        if name not in self._models:
            if directory and not directory.exists():
                self._studio.sharing.bring_run(name)
            self._models[name] = load_checkpoint(directory) if directory else load_base(name)
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]
