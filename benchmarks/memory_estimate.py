"""What a run is estimated to need, from its model's sizes and its examples' lengths, next to what it then allocates.

Each row trains three steps with the real trainer. Measured is the peak of what lies in tensors at once, weights
included, as `torch.cuda.max_memory_allocated` says on a GPU: a number that is the same every time. What a process on
the CPU has in RAM is more, by what does not follow from the run: the libraries' code, the kernels that oneDNN compiles
and keeps for each length it meets in bf16, and blocks that malloc has been given back and not passed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _allocations import Allocations
from _common import FIRST_WORD, SEED, Shape, print_heading, print_table, random_model, use_one_thread

from gift_core.activations import Setup
from gift_core.data.tokenisation import Tokenised, TokenisedExample
from gift_core.memory import predict
from gift_core.models.adapters import add_lora
from gift_core.models.loading import load_base
from gift_core.provenance import ExampleSet, Provenance
from gift_core.run import Prepared
from gift_core.sizing import largest_micro_batch
from gift_core.spec import RunSpec

STEPS = 3
TOLERANCE = 0.15
LORA = {"training.adapter": "lora"}
FP32 = {"training.precision": "fp32"}
CHECKPOINTING = {"training.gradient_checkpointing": True}
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """A run of `rows` examples per step, of up to `length` tokens; `shape` None is the bundled base."""

    shape: Shape | None = None
    rows: int = 8
    length: int = 96
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> RunSpec:
        always = {"data.held_out": 0, "training.epochs": 1, "training.batch_size": self.rows}
        return RunSpec().replace(always | self.changes)

    def prepared(self) -> Prepared:
        """The model and its examples."""
        model = random_model(self.shape) if self.shape else load_base("tiny")
        if self.spec.training.adapter == "lora":
            model = replace(model, network=add_lora(model, self.spec.training.lora, "base"))
        examples = Tokenised(self._examples(model.vocabulary_size))
        none = ExampleSet.of([])
        provenance = Provenance(training=none, held_out=none, versions={})
        return Prepared(model, "base", "", examples, Tokenised([]), provenance)

    def _examples(self, vocabulary: int) -> list[TokenisedExample]:
        random = np.random.default_rng(SEED)
        lengths = random.integers(3 * self.length // 4, self.length, STEPS * self.rows, endpoint=True)
        return [
            TokenisedExample(row, tuple(random.integers(FIRST_WORD, vocabulary, length).tolist()), length // 3, 0)
            for row, length in enumerate(lengths)
        ]

    def row(self) -> list[str]:
        """What the run is, and its row of the table."""
        training, prepared = self.spec.training, self.prepared()
        batch = largest_micro_batch(prepared.training.examples, self.spec)
        estimate = predict(prepared.architecture, Setup.of(self.spec, prepared.architecture), batch).total
        peak = measured(prepared, self.spec)
        return [
            str(self.shape) if self.shape else "bundled base",
            training.adapter,
            training.precision,
            "again" if training.gradient_checkpointing else "kept",
            f"{batch.rows} of {self.rows} x {batch.length}",
            f"{estimate / _MEBIBYTE:.0f}",
            f"{peak / _MEBIBYTE:.0f}",
            f"{estimate / peak:.2f}",
            "yes" if abs(estimate / peak - 1) <= TOLERANCE else "NO",
        ]


def measured(prepared: Prepared, spec: RunSpec) -> int:
    """Bytes in tensors at once, at most, while `prepared` is trained."""
    with TemporaryDirectory() as directory:
        trainer = prepared.trainer(spec, Path(directory))
        trainer.args.save_strategy = "no"
        with Allocations(prepared.model.network.parameters()) as allocations:
            trainer.train()
    return allocations.peak


LARGE_HEAD, DEEP = Shape(32_000, width=512, mlp=1536, layers=4), Shape(512, width=256, mlp=768, layers=8)
CASES = (
    Case(rows=64, length=51),
    Case(rows=64, length=51, changes={**FP32, **CHECKPOINTING}),
    Case(rows=64, length=51, changes={**LORA, "training.micro_batch_size": 16}),
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


def main() -> None:
    """Print the table."""
    use_one_thread()
    print_heading("Estimated and measured peak of training, in MiB", "bf16 autocast or fp32")
    heads = ["vocabulary / body", "trained", "precision", "activations", "micro-batch", "estimate", "measured", "ratio"]
    print_table([*heads, f"within {TOLERANCE:.0%}"], [case.row() for case in CASES])


if __name__ == "__main__":
    main()
