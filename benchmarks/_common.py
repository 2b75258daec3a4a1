"""What the benchmarks share: examples as long as GSM8K's, a random model, our training step, alternating timers."""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gift_core.data.collation import Batch, BatchShape, EpochBatches, NoisyDataset, NoisyExample, collate
from gift_core.data.noising import NoisedBatch, batch_rates, noise
from gift_core.data.tokenisation import TokenisedExample
from gift_core.models.forward import read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import RECIPES
from gift_core.probing import ScoreSource
from gift_core.scores import pick
from gift_core.spec import ObjectiveSpec

SEED = 0
EOS_ID, MASK_ID, FIRST_WORD = 0, 1, 2
BATCH_SIZE = 8
# `spec.data.max_length`: what a batch that is padded to the maximum is padded to. The longest GSM8K example has 495.
MAX_LENGTH = 512

# Tokens per question and answer of GSM8K's training set (7,473 rows), of a byte-level BPE with Llama 3's splitting that
# was trained on the set itself: 3.96 characters per token in questions and 2.88 in answers, whose sums break into
# digits. A usual BPE with its larger vocabulary lies within a few per cent of this.
_LEVELS = (0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
_QUESTION = (12, 25, 35, 43, 55, 70, 89, 132, 229)
_ANSWER = (24, 37, 52, 68, 91, 124, 159, 231, 361)
# Long questions have long answers: Spearman 0.54, which is this correlation of normal deviates.
_CORRELATION = 0.56
# Headers of LLaDA's chat template around the question, and the end of turn after the answer.
_TEMPLATE, _END_OF_TURN = 10, 1
# `eos_tail: block`: the response goes on with EOS up to a multiple of this.
_BLOCK = 32
# As many as one bucket of the trainer's: so few examples sort into batches as even as a large set's.
_EXAMPLES = 256


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes. `body` and `head` count the multiply-adds of a forward pass."""

    vocabulary: int
    width: int = 512
    mlp: int = 1536
    layers: int = 4
    heads: int = 8

    def body(self, rows: int, length: int) -> int:
        """Projections and attention over `rows` sequences of `length` tokens, padding included."""
        projections = rows * length * (4 * self.width**2 + 3 * self.width * self.mlp)
        attention = 2 * rows * length**2 * self.width
        return self.layers * (projections + attention)

    def head(self, positions: int) -> int:
        """The output projection at `positions`."""
        return positions * self.width * self.vocabulary

    def head_share(self) -> float:
        """Of all weights that a token is multiplied by."""
        return self.head(1) / (self.head(1) + self.body(1, 1))

    def __str__(self) -> str:
        return f"{self.vocabulary:,} / {self.width} x {self.layers}"


def random_model(shape: Shape) -> DiffusionModel:
    """A bidirectional Llama with random fp32 weights, in training mode."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=2 * MAX_LENGTH,
        tie_word_embeddings=False,
        is_causal=False,
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({})))
    return DiffusionModel(LlamaForCausalLM(config).train(), tokenizer, MASK_ID, EOS_ID, EOS_ID)


def gsm8k_batches(vocabulary: int, count: int) -> list[list[NoisyExample]]:
    """`count` batches of an epoch, from short to long, bucketed and noised as the trainer does it."""
    examples = _gsm8k_examples(vocabulary)
    dataset = NoisyDataset(examples, SEED, EOS_ID)
    lengths = [len(example.input_ids) for example in examples]
    epoch = list(EpochBatches(lengths, BatchShape(BATCH_SIZE, BATCH_SIZE), SEED))
    epoch.sort(key=lambda draws: max(lengths[draw.index] for draw in draws))
    # The middle of each of `count` equal parts: the same mix of lengths as the whole epoch.
    chosen = [epoch[(2 * part + 1) * len(epoch) // (2 * count)] for part in range(count)]
    return [[dataset[draw] for draw in draws] for draws in chosen]


def _gsm8k_examples(vocabulary: int) -> list[TokenisedExample]:
    random = np.random.default_rng(SEED)
    deviates = random.multivariate_normal([0, 0], [[1, _CORRELATION], [_CORRELATION, 1]], _EXAMPLES)
    shares = np.vectorize(statistics.NormalDist().cdf)(deviates)
    examples = []
    for row, (question, answer) in enumerate(shares):
        prompt = _TEMPLATE + round(np.interp(question, _LEVELS, _QUESTION))
        response = _END_OF_TURN + round(np.interp(answer, _LEVELS, _ANSWER))
        tail = -response % _BLOCK
        words = random.integers(FIRST_WORD, vocabulary, prompt + response).tolist()
        examples.append(TokenisedExample(row, (*words, *[EOS_ID] * tail), prompt, tail))
    return examples


def autocast() -> torch.autocast:
    """What `training.precision: bf16` computes in."""
    return torch.autocast("cpu", dtype=torch.bfloat16)


class TrainingStep:
    """Forward and backward pass of one method on one batch, put together as in `GiftTrainer`, with no optimiser."""

    def __init__(self, model: DiffusionModel, objective: ObjectiveSpec, source: ScoreSource | None = None) -> None:
        self.model = model
        self.objective = objective
        self.source = source

    def noised(self, batch: Batch) -> NoisedBatch:
        """Probe `batch` where the method asks for it, and mask it."""
        score = self._score(batch)
        return noise(self.objective, batch, batch_rates(self.objective, batch, score, SEED), self.model.mask_id)

    def _score(self, batch: Batch) -> Tensor | None:
        which = RECIPES[self.objective.method].score
        if self.source is None or which is None:
            return None
        return pick(self.source.scores(self.model.network, [batch], 0)[0], which)

    def loss(self, items: Sequence[NoisyExample]) -> Tensor:
        """The loss of a batch, divided by its response tokens."""
        batch = collate(items, self.model.eos_id)
        noised = self.noised(batch)
        weights = noised.weights / batch.response_mask.sum()
        read = partial(weighted_cross_entropy, targets=noised.targets, weights=weights)
        loss, _ = read_head(self.model.network, noised.input_ids, batch.attention_mask, noised.positions, read)
        return loss

    def __call__(self, items: Sequence[NoisyExample]) -> None:
        self.model.network.zero_grad(set_to_none=True)
        with autocast():
            loss = self.loss(items)
        loss.backward()


def use_one_thread() -> None:
    """Compute in one thread, whose CPU time is what the same work takes on an idle machine.

    Several would wait for each other at the end of every small operation, and where something else holds one of their
    cores that wait is longer than the operation: what is measured then is the neighbour.
    """
    torch.set_num_threads(1)


def alternate(variants: Mapping[str, Sequence[Callable[[], object]]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each variant's pieces of work in each round. Warming up is the caller's.

    The variants take turns at each piece, so that what slows the processor slows all of them alike. One piece is done
    with before the next: whoever came first to batches of another length would pay for the memory that all then use.
    """
    seconds = {name: [0.0] * rounds for name in variants}
    for pieces in zip(*variants.values(), strict=True):
        for turn in range(rounds):
            for name, work in zip(variants, pieces, strict=True):
                started = time.process_time()
                work()
                seconds[name][turn] += time.process_time() - started
    return seconds


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times as long `one` took as `other`: the median over the rounds."""
    return statistics.median(first / second for first, second in zip(one, other, strict=True))


def peak_bytes(work: Callable[[], object]) -> int:
    """How far `work` raises what this process has in RAM, at its highest. Linux with glibc only."""
    # What earlier work has freed may still be resident, and would be taken again for nothing.
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident_bytes("VmRSS")
    # Lets VmHWM, the highest so far, begin again at what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    work()
    return _resident_bytes("VmHWM") - before


def _resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def print_heading(title: str, precision: str = "bf16 autocast") -> None:
    """A title, and on which machine and in which precision what follows it was measured."""
    print(f"\n{title}")
    threads = torch.get_num_threads()
    print(
        f"{os.cpu_count()} cores, {threads} thread{'s' if threads > 1 else ''}, "
        f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, {precision}"
    )


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Right-aligned columns."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for cells in (heads, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)
