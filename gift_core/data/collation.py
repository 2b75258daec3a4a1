"""Batches: bucketed by length, padded to their longest, with each example's own noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gift_core.data.tokenisation import TokenisedExample
from gift_core.noise import Stream, generator, training_noise

# Batches sorted together: wide enough to find neighbours of one length, narrow enough to stay random.
_BUCKET_BATCHES = 32
IGNORED = -100


@dataclass(frozen=True)
class NoisyExample:
    """An example with its diffusion time t and uniforms u [response]."""

    example: TokenisedExample
    t: float
    u: np.ndarray


@dataclass(frozen=True)
class Draw:
    """Which example a batch takes, in which epoch, and up to which length its EOS tail goes on (0: as it is)."""

    index: int
    epoch: int
    length: int = 0


class NoisyDataset(Dataset[NoisyExample]):
    """Examples with their noise, keyed by (seed, example id, epoch)."""

    def __init__(self, examples: Sequence[TokenisedExample], seed: int, eos_id: int) -> None:
        self.examples = examples
        self.seed = seed
        self.eos_id = eos_id

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, draw: Draw) -> NoisyExample:
        example = self.examples[draw.index].padded(draw.length, self.eos_id)
        return NoisyExample(example, *training_noise(self.seed, example.id, draw.epoch, example.response_length))


@dataclass(frozen=True)
class BatchShape:
    """How an optimiser step is divided: `batch_size` sequences over `world_size` processes, each of which takes
    `micro_batch_size` at a time."""

    batch_size: int
    micro_batch_size: int
    rank: int = 0
    world_size: int = 1

    @property
    def accumulation(self) -> int:
        """Micro-batches of a full step."""
        return self.batch_size // (self.micro_batch_size * self.world_size)


class EpochBatches(Sampler[list[Draw]]):
    """The micro-batches of one process, in an order keyed by (seed, epoch) in which neighbours have similar lengths.

    Which examples make up an optimiser step depends on the seed and the epoch alone: neither on the micro-batches nor
    on the number of processes. The last step of an epoch may be short; a process that has no part in one of its
    micro-batches gets an empty list, so that all processes take as many.
    """

    def __init__(self, lengths: Sequence[int], shape: BatchShape, seed: int, *, pad_to_longest: bool = False) -> None:
        self.lengths = np.asarray(lengths)
        self.shape = shape
        self.seed = seed
        self.pad_to_longest = pad_to_longest
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.shape.batch_size)
        return whole * self.shape.accumulation + -(-rest // (self.shape.micro_batch_size * self.shape.world_size))

    def __iter__(self) -> Iterator[list[Draw]]:
        together = self.shape.micro_batch_size * self.shape.world_size
        for batch in self.batches():
            length = int(self.lengths[batch].max()) if self.pad_to_longest else 0
            for start in range(0, len(batch), together):
                mine = batch[start : start + together][self.shape.rank :: self.shape.world_size]
                yield [Draw(int(index), self.epoch, length) for index in mine]

    def batches(self) -> list[np.ndarray]:
        """Indices of the examples of each optimiser step of the epoch.

        Batches of equal length waste no padding; which batch comes when stays random.
        """
        size = self.shape.batch_size
        random = generator(Stream.ORDER, self.seed, self.epoch)
        order = random.permutation(len(self.lengths))
        width = size * _BUCKET_BATCHES
        batches: list[np.ndarray] = []
        for start in range(0, len(order), width):
            bucket = order[start : start + width]
            bucket = bucket[np.argsort(self.lengths[bucket], kind="stable")]
            batches += np.split(bucket, range(size, len(bucket), size))
        # A short last batch stays last: in the middle it would shift the borders of all that follow.
        whole = [batch for batch in batches if len(batch) == size]
        rest = [batch for batch in batches if len(batch) < size]
        return [whole[index] for index in random.permutation(len(whole))] + rest


class EpochLoader(DataLoader["Batch"]):
    """A loader that tells its batches which epoch it is."""

    def set_epoch(self, epoch: int) -> None:
        batches = self.batch_sampler
        assert isinstance(batches, EpochBatches)
        batches.set_epoch(epoch)


@dataclass(frozen=True)
class Batch:
    """A micro-batch before it is noised, padded to its longest; on the CPU. All tensors are [batch, length] but `t`.

    `labels` are the response tokens and -100 elsewhere, `u` is 1 outside the response, `t` is [batch].
    """

    examples: tuple[TokenisedExample, ...]
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    u: Tensor
    tail_mask: Tensor
    t: Tensor

    @property
    def response_mask(self) -> Tensor:
        return self.labels != IGNORED


def collate(items: Sequence[NoisyExample], eos_id: int) -> Batch:
    """One tensor of each kind for several examples. No examples make one row of one token that nobody learns from."""
    shape = max(1, len(items)), max((len(item.example.input_ids) for item in items), default=1)
    batch = Batch(
        examples=tuple(item.example for item in items),
        input_ids=torch.full(shape, eos_id),
        attention_mask=torch.zeros(shape, dtype=torch.long),
        labels=torch.full(shape, IGNORED),
        u=torch.ones(shape),
        tail_mask=torch.zeros(shape, dtype=torch.bool),
        t=torch.tensor([item.t for item in items] or [0.5]),
    )
    if not items:
        batch.attention_mask[:] = 1
    for row, item in enumerate(items):
        ids = torch.tensor(item.example.input_ids)
        start, end = item.example.prompt_length, len(ids)
        batch.input_ids[row, :end] = ids
        batch.attention_mask[row, :end] = 1
        batch.labels[row, start:end] = ids[start:]
        batch.u[row, start:end] = torch.from_numpy(item.u)
        batch.tail_mask[row, end - item.example.tail_length : end] = True
    return batch
