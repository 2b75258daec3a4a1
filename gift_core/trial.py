"""Three real steps of a run, to see what a step takes: time, memory, and where the loss falls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import SaveStrategy

from gift_core.activations import Setup, count_saved
from gift_core.compilation import explained_compilation
from gift_core.data.collation import Draw, collate
from gift_core.evaluation import score_task
from gift_core.memory import MemoryEstimate, estimate
from gift_core.models.architecture import Architecture
from gift_core.run import Prepared
from gift_core.scores import ScoreCache
from gift_core.sizing import micro_batch
from gift_core.spec import RunSpec
from gift_core.tasks.task import Problem, Task
from gift_core.training import GiftTrainer


@dataclass(frozen=True)
class Trial:
    """What was measured. `positions` are cells of [batch, length], padding among them."""

    positions_per_second: float
    mask_ratio: float
    tail_loss_share: float
    evaluation_seconds: float
    memory: MemoryEstimate


def try_out(prepared: Prepared, spec: RunSpec, directory: Path, cache: ScoreCache | None) -> Trial:
    """Train one epoch of `prepared`, a few batches, and evaluate its held-out examples; the model is spoilt after."""
    with prepared.explained_out_of_memory(spec), explained_compilation():
        trainer = prepared.trainer(spec.replace({"training.epochs": 1}), directory, cache)
        trainer.args.save_strategy = SaveStrategy.NO
        watch = _Watch(trainer)
        trainer.add_callback(watch)
        trainer.train()
    trainer.check_finite()
    metrics = trainer.accounts.metrics()
    started = time.perf_counter()
    trainer.held_out_losses()
    return Trial(
        positions_per_second=watch.positions_per_second(),
        mask_ratio=metrics["mask_ratio"],
        tail_loss_share=metrics["tail_loss_share"],
        evaluation_seconds=time.perf_counter() - started,
        memory=watch.memory,
    )


def scoring_seconds(prepared: Prepared, task: Task, problems: Sequence[Problem], spec: RunSpec) -> float:
    """Time to denoise and score `problems`."""
    started = time.perf_counter()
    score_task(prepared.model, task, problems, spec.sampling)
    return time.perf_counter() - started


class _Watch(TrainerCallback):
    """Counts memory before the first step and times every step; the first one also warms caches up."""

    memory: MemoryEstimate

    def __init__(self, trainer: GiftTrainer) -> None:
        self._trainer = trainer
        self._steps: list[tuple[int, float]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trainer, model = self._trainer, self._trainer.diffusion_model
        dataset = trainer.train_dataset
        by_length = sorted(range(len(dataset)), key=lambda index: len(dataset.examples[index].input_ids))
        longest = by_length[-args.per_device_train_batch_size :]
        batch = collate([dataset[Draw(index, 0)] for index in longest], model.eos_id)
        (inputs,), total = trainer.get_batch_samples(iter([batch]), 1, args.device)
        inputs = trainer._prepare_inputs(inputs)
        trainer.model_wrapped.train()
        saved = count_saved(
            trainer.model_wrapped,
            lambda: trainer.compute_loss(trainer.model_wrapped, inputs, num_items_in_batch=total),
        )
        # That batch will come again, and count then.
        trainer.accounts.metrics()
        self.memory = estimate(
            model.network,
            Setup.of(trainer.spec, Architecture.of(model.network.config)),
            micro_batch(batch.examples),
            saved,
        )

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started, self._before = time.perf_counter(), self._trainer.positions_computed

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Without this, a device would still be computing what it was given.
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        seconds = time.perf_counter() - self._started
        self._steps.append((self._trainer.positions_computed - self._before, seconds))

    def positions_per_second(self) -> float:
        """Speed of the steps after the first, where there are any."""
        steps = self._steps[1:] or self._steps
        return sum(positions for positions, _ in steps) / sum(seconds for _, seconds in steps)
