"""Where a training step gets its scores from: the model as it is, as it was some epochs ago, or as it started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from gift_core.data.collation import Batch
from gift_core.errors import TrainingError
from gift_core.models.loading import DiffusionModel
from gift_core.scores import ScoreCache, batch_of, probe, rows_of


class ScoreSource(Protocol):
    """Gives the scores of the micro-batches of one step, fp32 [2, batch, length] each."""

    def scores(self, network: nn.Module, batches: Sequence[Batch], epoch: int) -> list[Tensor]: ...

    def flush(self) -> None:
        """Put on disk what a resumed run will ask for."""

    def epoch_ends(self, epoch: int, wait_for_all: Callable[[], None]) -> None:
        """All steps of an epoch are done; `wait_for_all` returns when every process has come so far."""


class OnlineScores:
    """The paper: one more forward pass of the current model in every step."""

    def __init__(self, model: DiffusionModel, autocast: bool) -> None:
        self._model = model
        self._autocast = autocast

    def scores(self, network: nn.Module, batches: Sequence[Batch], epoch: int) -> list[Tensor]:
        return probe(self._model, network, batches, self._autocast)

    def flush(self) -> None: ...

    def epoch_ends(self, epoch: int, wait_for_all: Callable[[], None]) -> None: ...


class FrozenScores:
    """The starting model's, from a cache that was filled before the first step."""

    def __init__(self, cache: ScoreCache) -> None:
        self._cache = cache

    def scores(self, network: nn.Module, batches: Sequence[Batch], epoch: int) -> list[Tensor]:
        return [stored_scores(self._cache, batch) for batch in batches]

    def flush(self) -> None: ...

    def epoch_ends(self, epoch: int, wait_for_all: Callable[[], None]) -> None: ...


class PeriodicScores:
    """Probes each example in every `period`-th epoch and keeps what it saw for the epochs between.

    What is kept lies in the run's directory, so that another process, or the same run resumed, finds it.
    """

    def __init__(self, model: DiffusionModel, autocast: bool, period: int, directory: Path) -> None:
        self._online = OnlineScores(model, autocast)
        self._period = period
        self._directory = directory
        self._cache: ScoreCache | None = None

    def scores(self, network: nn.Module, batches: Sequence[Batch], epoch: int) -> list[Tensor]:
        cache = self._cache_of(epoch)
        if epoch % self._period:
            return [stored_scores(cache, batch) for batch in batches]
        found = self._online.scores(network, batches, epoch)
        for batch, scores in zip(batches, found, strict=True):
            for example, values in zip(batch.examples, rows_of(batch, scores), strict=True):
                cache.put(example, values)
        return found

    def flush(self) -> None:
        if self._cache:
            self._cache.flush()

    def epoch_ends(self, epoch: int, wait_for_all: Callable[[], None]) -> None:
        self.flush()
        wait_for_all()
        if self._cache:
            self._cache.reload()

    def _cache_of(self, epoch: int) -> ScoreCache:
        directory = self._directory / f"epoch-{epoch - epoch % self._period}"
        if self._cache is None or self._cache.directory != directory:
            # Earlier ones stay until the run has finished: it may have to go back to a checkpoint from their time.
            self._cache = ScoreCache(directory)
        return self._cache


def stored_scores(cache: ScoreCache, batch: Batch) -> Tensor:
    """A batch's scores from `cache`, fp32 [2, batch, length]."""
    rows = []
    for example in batch.examples:
        values = cache.get(example)
        if values is None:
            raise TrainingError(
                f"The stored rates of example {example.id} are gone from {cache.directory}.",
                field="objective.probe",
                remedy="Start the run again; do not delete the rate cache while a run trains.",
            )
        rows.append(values)
    return batch_of(batch, rows)
