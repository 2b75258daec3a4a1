"""What a run is estimated to need, from its model's sizes and its examples' lengths, next to what it then has at most.

Each row trains three steps with the real trainer in a process of its own, and the peak is how far loading and training
raise what that process has in RAM. Two things are taken out of it. The libraries' own code and buffers: a few small
steps come first. And what malloc keeps of freed blocks, which depends on their order and not on the run: blocks of a
mebibyte and more are given back at once, as a GPU's allocator gives them to whoever asks next.
"""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _common import FIRST_WORD, SEED, Shape, peak_bytes, print_heading, print_table, random_model, use_one_thread

from gift_core.activations import Setup
from gift_core.data.tokenisation import Tokenised, TokenisedExample
from gift_core.memory import predict
from gift_core.models.adapters import add_lora
from gift_core.run import Prepared, prepare
from gift_core.sizing import largest_micro_batch
from gift_core.spec import RunSpec

STEPS = 3
TOLERANCE = 0.15
LORA = {"training.adapter": "lora"}
FP32 = {"training.precision": "fp32"}
CHECKPOINTING = {"training.gradient_checkpointing": True}
# glibc's name for the size from which blocks are mapped, and given back when they are freed.
_M_MMAP_THRESHOLD = -3
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """A run: `shape` None is the bundled base on Sudoku, otherwise examples of up to `length` tokens."""

    shape: Shape | None = None
    rows: int = 8
    length: int = 96
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> RunSpec:
        always = {"data.held_out": 0, "training.epochs": 1, "training.batch_size": self.rows}
        return RunSpec().replace(always | {"data.source.examples": STEPS * self.rows} | self.changes)

    def prepared(self) -> Prepared:
        """The model and its examples."""
        if self.shape is None:
            return prepare(self.spec, Path)
        model = random_model(self.shape)
        if self.spec.training.adapter == "lora":
            model = replace(model, network=add_lora(model.network, self.spec.training.lora, "random"))
        return Prepared(model, "", Tokenised(self._examples(self.shape.vocabulary)), Tokenised([]))

    def _examples(self, vocabulary: int) -> list[TokenisedExample]:
        random = np.random.default_rng(SEED)
        lengths = random.integers(3 * self.length // 4, self.length, STEPS * self.rows, endpoint=True)
        return [
            TokenisedExample(row, tuple(random.integers(FIRST_WORD, vocabulary, length).tolist()), length // 3, 0)
            for row, length in enumerate(lengths)
        ]

    def train(self) -> Prepared:
        """Load and train, as a run does; what was trained."""
        prepared = self.prepared()
        with TemporaryDirectory() as directory:
            trainer = prepared.trainer(self.spec, Path(directory))
            trainer.args.save_strategy = "no"
            trainer.train()
        return prepared

    def cells(self) -> list[str]:
        """What it is, for the table."""
        training = self.spec.training
        return [
            str(self.shape) if self.shape else "bundled base",
            training.adapter,
            training.precision,
            "again" if training.gradient_checkpointing else "kept",
        ]


LARGE_HEAD, DEEP = Shape(32_000, width=512, mlp=1536, layers=4), Shape(512, width=256, mlp=768, layers=8)
CASES = (
    Case(rows=64),
    Case(rows=64, changes={**FP32, **CHECKPOINTING}),
    Case(rows=64, changes={**LORA, "training.micro_batch_size": 16}),
    Case(LARGE_HEAD),
    Case(LARGE_HEAD, changes={**FP32, **CHECKPOINTING}),
    Case(LARGE_HEAD, changes={"training.micro_batch_size": 2}),
    Case(LARGE_HEAD, changes={**LORA, **FP32}),
    Case(LARGE_HEAD, rows=2, length=768, changes={**LORA, **CHECKPOINTING}),
    Case(DEEP, rows=16),
    Case(DEEP, rows=16, changes={**FP32, **CHECKPOINTING}),
    Case(DEEP, rows=16, changes={**LORA, "training.micro_batch_size": 4}),
    Case(DEEP, rows=4, length=512, changes={**LORA, **CHECKPOINTING}),
)


def apart(work: Callable[[], tuple[int, ...]], size: int) -> list[int]:
    """The `size` numbers that `work` finds in a process that has the libraries loaded and has computed nothing yet."""
    context = multiprocessing.get_context("fork")
    found = context.Array("q", size)

    def run() -> None:
        found[:] = work()

    process = context.Process(target=run)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"a measurement ended with exit code {process.exitcode}")
    return list(found)


def measure(case: Case) -> tuple[int, int, int, int]:
    """Rows and tokens of the largest micro-batch, estimated and measured peak in bytes; for a process of its own."""
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MEBIBYTE)
    # Of the same kind, so that it loads the same code.
    replace(case, shape=None, rows=4, changes=case.changes | {"training.micro_batch_size": 2}).train()
    trained: list[Prepared] = []
    peak = peak_bytes(lambda: trained.append(case.train()))
    (prepared,), spec = trained, case.spec
    batch = largest_micro_batch(prepared.training.examples, spec)
    return batch.rows, batch.length, predict(prepared.architecture, Setup.of(spec), batch).total, peak


def table_row(case: Case) -> list[str]:
    """The table's row of one case."""
    rows, length, estimate, peak = apart(lambda: measure(case), 4)
    ratio = estimate / peak
    verdict = "yes" if abs(ratio - 1) <= TOLERANCE else "NO"
    sizes = [f"{rows} x {length}", f"{estimate / _MEBIBYTE:.0f}", f"{peak / _MEBIBYTE:.0f}", f"{ratio:.2f}", verdict]
    return [*case.cells(), *sizes]


def main() -> None:
    """Print the table."""
    use_one_thread()
    print_heading("Estimated and measured peak of training, in MiB", "bf16 autocast or fp32")
    heads = ["vocabulary / body", "trained", "precision", "activations", "micro-batch", "estimate", "measured", "ratio"]
    print_table([*heads, f"within {TOLERANCE:.0%}"], [table_row(case) for case in CASES])


if __name__ == "__main__":
    main()
