"""What the probe measures, and where it is kept: entropy and -log p per response token, with all of it masked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

from gift_core.data.collation import Batch, NoisyExample, collate
from gift_core.data.tokenisation import TokenisedExample
from gift_core.files import sync
from gift_core.models.forward import evaluating, read_head
from gift_core.models.head import probe_scores
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import Score

# Examples per file: a crash loses at most this many, and a million examples make a thousand files.
_SHARD_EXAMPLES = 1024
_ROWS: dict[Score, int] = {"entropy": 0, "nll": 1}


@torch.no_grad()
def probe(model: DiffusionModel, network: nn.Module, batches: Sequence[Batch], autocast: bool) -> list[Tensor]:
    """Entropy and -log p with all of the response masked, in nats: fp32 [2, batch, length] on the CPU for each batch.

    0 outside the response. `network` is the model's, or what a trainer has wrapped it in.
    """
    # Dropout would make the rates noisy: the probe asks what the model believes.
    with evaluating(network):
        found = [_probe(model, network, batch, autocast) for batch in batches]
    # The device is waited for once, when all passes are under way.
    return [_laid_out(batch, scores.cpu()) for batch, scores in zip(batches, found, strict=True)]


def _probe(model: DiffusionModel, network: nn.Module, batch: Batch, autocast: bool) -> Tensor:
    device = model.device
    response = batch.response_mask
    positions = response.flatten().nonzero()[:, 0]
    read = partial(probe_scores, targets=batch.labels[response].to(device, non_blocking=True))
    masked = batch.input_ids.masked_fill(response, model.mask_id)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
        return read_head(
            network,
            masked.to(device, non_blocking=True),
            batch.attention_mask.to(device, non_blocking=True),
            positions.to(device, non_blocking=True),
            read,
            model.logit_shift,
        )


def _laid_out(batch: Batch, scores: Tensor) -> Tensor:
    laid_out = torch.zeros(2, *batch.input_ids.shape)
    laid_out[:, batch.response_mask] = scores
    return laid_out


def rows_of(batch: Batch, scores: Tensor) -> list[np.ndarray]:
    """Each example's own [2, response] of a probe's [2, batch, length]."""
    return [
        scores[:, row, example.prompt_length : len(example.input_ids)].numpy()
        for row, example in enumerate(batch.examples)
    ]


def batch_of(batch: Batch, rows: Sequence[np.ndarray]) -> Tensor:
    """The [2, batch, length] of which `rows` are the examples' own."""
    scores = torch.zeros(2, *batch.input_ids.shape)
    for row, (example, values) in enumerate(zip(batch.examples, rows, strict=True)):
        scores[:, row, example.prompt_length : len(example.input_ids)] = torch.from_numpy(values)
    return scores


def pick(scores: Tensor, score: Score) -> Tensor:
    """The row of [2, batch, length] that a recipe asks for."""
    return scores[_ROWS[score]]


class ScoreCache:
    """Scores on disk: [2, response] per example, in safetensors files that appear whole or not at all.

    Any number of processes may read and write one directory. What two of them compute twice is written once, under
    the same name; a process that dies leaves what it had finished.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[str, Path] = {}
        self._seen: set[Path] = set()
        self._open: dict[Path, Any] = {}
        self._pending: dict[str, np.ndarray] = {}
        self.reload()

    @classmethod
    def of_model(cls, directory: Path, fingerprint: str, precision: str) -> ScoreCache:
        """The scores below `directory` that belong to one model in the precision of its probe."""
        return cls(directory / f"{fingerprint[:32]}-{precision}")

    @staticmethod
    def key(example: TokenisedExample) -> str:
        """What an example's scores depend on: its tokens and where its response begins."""
        ids = np.asarray((example.prompt_length, *example.input_ids), dtype=np.int64)
        return hashlib.sha256(ids.tobytes()).hexdigest()[:32]

    def reload(self) -> None:
        """Take notice of what other processes have written. A file that cannot be read counts as not there."""
        for path in sorted(self.directory.glob("*.safetensors")):
            if path in self._seen:
                continue
            with suppress(SafetensorError, OSError), safe_open(path, framework="np") as shard:
                self._files |= dict.fromkeys(shard.keys(), path)
                self._seen.add(path)

    def __contains__(self, example: TokenisedExample) -> bool:
        key = self.key(example)
        return key in self._pending or key in self._files

    def get(self, example: TokenisedExample) -> np.ndarray | None:
        """[2, response] in nats, or None where the example has not been probed."""
        key = self.key(example)
        if key in self._pending:
            return self._pending[key]
        path = self._files.get(key)
        if path is None:
            return None
        if path not in self._open:
            self._open[path] = safe_open(path, framework="np")
        values: np.ndarray = self._open[path].get_tensor(key)
        return values

    def put(self, example: TokenisedExample, scores: np.ndarray) -> None:
        """Keep an example's scores; they are on disk after the next `flush`, or when enough have come together."""
        self._pending[self.key(example)] = np.ascontiguousarray(scores, dtype=np.float32)
        if len(self._pending) >= _SHARD_EXAMPLES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("".join(sorted(self._pending)).encode()).hexdigest()[:32]
        path = self.directory / f"{name}.safetensors"
        beside = self.directory / f".{name}.{os.getpid()}"
        save_file(self._pending, beside)
        sync(beside)
        beside.replace(path)
        self._open.pop(path, None)
        self._files |= dict.fromkeys(self._pending, path)
        self._seen.add(path)
        self._pending = {}


@dataclass(frozen=True)
class CacheReport:
    """How many distinct examples of its share a process had to probe, and how many it found."""

    computed: int
    reused: int


def fill(
    cache: ScoreCache,
    model: DiffusionModel,
    examples: Iterable[TokenisedExample],
    rows: int,
    *,
    autocast: bool,
    rank: int = 0,
    world_size: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CacheReport:
    """Probe every example that `cache` lacks, `rows` at a time; of several processes each takes its share.

    `on_progress(done, total)` counts this process's share of what is missing.
    """
    distinct = {cache.key(example): example for example in examples}
    # Divided before anything is looked up: another process may be writing already, and what one finds, another may not.
    shared = sorted(distinct.values(), key=lambda example: (len(example.input_ids), example.input_ids))
    share = shared[rank::world_size]
    mine = [example for example in share if example not in cache]
    for start in range(0, len(mine), rows):
        part = mine[start : start + rows]
        batch = collate([_unnoised(example) for example in part], model.eos_id)
        (scores,) = probe(model, model.network, [batch], autocast)
        for example, values in zip(part, rows_of(batch, scores), strict=True):
            cache.put(example, values)
        on_progress(start + len(part), len(mine))
    cache.flush()
    return CacheReport(computed=len(mine), reused=len(share) - len(mine))


def _unnoised(example: TokenisedExample) -> NoisyExample:
    return NoisyExample(example, 0.5, np.ones(example.response_length, dtype=np.float32))
