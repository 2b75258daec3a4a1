"""Batches: bucketed by length, padded to their longest, with each example's own noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

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


class NoisyDataset(Dataset[NoisyExample]):
    """Examples with the noise of the current epoch, keyed by (seed, example id, epoch)."""

    def __init__(self, examples: Sequence[TokenisedExample], seed: int) -> None:
        self.examples = examples
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> NoisyExample:
        example = self.examples[index]
        return NoisyExample(example, *training_noise(self.seed, example.id, self.epoch, example.response_length))


class BucketSampler(Sampler[int]):
    """An order of the epoch, keyed by (seed, epoch), in which neighbours have similar lengths.

    Batches of equal length waste no padding; which batch comes when stays random.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = generator(Stream.ORDER, self.seed, self.epoch)
        order = random.permutation(len(self.lengths))
        width = self.batch_size * _BUCKET_BATCHES
        batches: list[np.ndarray] = []
        for start in range(0, len(order), width):
            bucket = order[start : start + width]
            bucket = bucket[np.argsort(self.lengths[bucket], kind="stable")]
            batches += np.split(bucket, range(self.batch_size, len(bucket), self.batch_size))
        # A short last batch stays last: in the middle it would shift the borders of all that follow.
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        for index in random.permutation(len(whole)):
            yield from whole[index].tolist()
        for batch in rest:
            yield from batch.tolist()


def collate(items: Sequence[NoisyExample], eos_id: int) -> dict[str, Tensor]:
    """Tensors of a batch, padded to its longest.

    `input_ids`, `attention_mask`, `labels` (response tokens, -100 elsewhere) and `u` are [batch, length];
    `tail_mask` marks the EOS tail; `t` is [batch].
    """
    shape = len(items), max(len(item.example.input_ids) for item in items)
    batch = {
        "input_ids": torch.full(shape, eos_id),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED),
        "u": torch.ones(shape),
        "tail_mask": torch.zeros(shape, dtype=torch.bool),
        "t": torch.tensor([item.t for item in items]),
    }
    for row, item in enumerate(items):
        ids, start, end = item.example.input_ids, item.example.prompt_length, len(item.example.input_ids)
        batch["input_ids"][row, :end] = torch.tensor(ids)
        batch["attention_mask"][row, :end] = 1
        batch["labels"][row, start:end] = torch.tensor(ids[start:])
        batch["u"][row, start:end] = torch.from_numpy(item.u)
        batch["tail_mask"][row, end - item.example.tail_length : end] = True
    return batch
