"""Turns the Trainer's logs into the run's metrics, with the time that is left, and stops it when asked to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from gift_core.no_effect import check_learning
from gift_core.reporting import Reporter, rounded
from gift_core.training import GiftTrainer, evaluation_interval

_FROM_THE_TRAINER = ("loss", "grad_norm", "learning_rate")


class TrainingReport(TrainerCallback):
    """Reports each window of steps, and ends a run that learns nothing.

    `latest` holds the last value of every metric. `reported` is what a resumed run has reported before, report by
    report: it then ends as if it had never been interrupted.
    """

    def __init__(
        self,
        trainer: GiftTrainer,
        reporter: Reporter,
        reported: Sequence[Mapping[str, float]] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.trainer = trainer
        self.reporter = reporter
        self.latest: dict[str, float] = {}
        for values in reported:
            self.latest |= values
        self._windows = [values for values in reported if "mask_ratio" in values]
        self.should_stop = should_stop

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        first = state.global_step == 0
        losses = self.trainer.held_out_losses() if first else {}
        self.latest |= _as_reported(losses)
        self.reporter.report(state.global_step, "training", losses, total_steps=state.max_steps)
        self.started, self.first_step = time.perf_counter(), state.global_step
        self.trainer.accounts.restart_clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._is_stopped(args):
            control.should_save = control.should_training_stop = True
        # The window of a report ends with a checkpoint: a resumed run then reports the same windows.
        saves = control.should_save or state.global_step % state.save_steps == 0
        control.should_log = control.should_log or saves or self._is_evaluated(state)

    def _is_stopped(self, args: Any) -> bool:
        wish = self.should_stop()
        if args.world_size == 1:
            return wish
        # A wish reaches several processes at different steps; they stop at the same one.
        return bool(self.trainer.add_up(torch.tensor([float(wish)]))[0])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        self.trainer.check_finite()
        values = {name: float(logs[name]) for name in _FROM_THE_TRAINER if name in logs}
        values |= self.trainer.accounts.metrics(self.trainer.add_up)
        if self._is_evaluated(state):
            values |= self.trainer.held_out_losses()
        self.latest |= _as_reported(values)
        self.reporter.report(
            state.global_step, "training", values, total_steps=state.max_steps, eta_seconds=self._eta(state)
        )
        self._windows.append(values)
        check_learning(self.trainer.spec, self._windows, ended=state.global_step >= state.max_steps)
        self.trainer.accounts.restart_clock()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.accounts.restart_clock()

    def _is_evaluated(self, state: Any) -> bool:
        every = evaluation_interval(self.trainer.spec, state.max_steps)
        return state.global_step % every == 0 or state.global_step == state.max_steps

    def _eta(self, state: Any) -> float:
        done = state.global_step - self.first_step
        return (time.perf_counter() - self.started) / max(done, 1) * (state.max_steps - state.global_step)


def _as_reported(values: dict[str, float]) -> dict[str, float]:
    """A resumed run knows no more digits than these, and ends with the same result."""
    return {name: rounded(value) for name, value in values.items()}
