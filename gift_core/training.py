"""`GiftTrainer`: transformers' Trainer with the method's loss, common random numbers and a shared normaliser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gift_core.accounting import Accounts
from gift_core.compilation import compile_layers
from gift_core.data.collation import Batch, BatchShape, EpochBatches, EpochLoader, NoisyDataset, collate
from gift_core.data.noising import NoisedBatch, batch_rates, noise
from gift_core.data.tokenisation import TokenisedExample
from gift_core.errors import NotFiniteError, SpecError
from gift_core.held_out import HeldOutLoss
from gift_core.models.forward import read_head
from gift_core.models.head import weighted_cross_entropy
from gift_core.models.loading import DiffusionModel
from gift_core.models.saving import write_model
from gift_core.objectives import RECIPES, masking_rate, mean_rate, rate_sums
from gift_core.probing import FrozenScores, OnlineScores, PeriodicScores, ScoreSource
from gift_core.recovery import PREFIX_CHECKPOINT_DIR, complete_checkpoints, keep_newest, seal
from gift_core.reporting import TRAINER_DIRECTORY
from gift_core.scores import ScoreCache, pick
from gift_core.spec import RunSpec, micro_batch_size

# Logged steps per run: enough for a smooth curve, few enough not to wait for the device at every step.
LOGGED_STEPS = 500
# The last checkpoint, and the one before it in case the last was cut short.
KEPT_CHECKPOINTS = 2


class GiftTrainer(Trainer):
    """Trains `model.network` on tokenised examples as `spec` says.

    `cache` holds the starting model's scores, where the run has frozen rates.
    """

    def __init__(
        self,
        model: DiffusionModel,
        spec: RunSpec,
        training: Sequence[TokenisedExample],
        held_out: Sequence[TokenisedExample],
        directory: Path,
        cache: ScoreCache | None = None,
    ) -> None:
        self.spec = spec
        self.diffusion_model = model
        self.accounts = Accounts(math.log(model.vocabulary_size), spec.objective.power)
        # Cells of all micro-batches, padding among them.
        self.positions_computed = 0
        self._recipe = RECIPES[spec.objective.method]
        self._autocast = spec.training.precision == "bf16"
        self._scores = self._score_source(directory, cache)
        arguments = _arguments(spec, len(training), directory)
        shape = batch_shape(spec, int(arguments.process_index), int(arguments.world_size))
        # Which process this is is known only once the arguments exist.
        arguments.per_device_train_batch_size = shape.micro_batch_size
        arguments.gradient_accumulation_steps = shape.accumulation
        self._batches = EpochBatches(
            [len(example.input_ids) for example in training],
            shape,
            spec.seed,
            pad_to_longest=spec.data.eos_tail == "longest",
        )
        super().__init__(
            model=model.network,
            args=arguments,
            train_dataset=NoisyDataset(training, spec.seed, model.eos_id),
            processing_class=model.tokenizer,
            callbacks=[_EpochEnd(self)],
        )
        if self.is_fsdp_enabled and spec.model.quantisation != "none":
            raise SpecError(
                f"{spec.model.quantisation} weights cannot be divided over processes.",
                field="model.quantisation",
                remedy="Start it with configs/ddp.yaml, or set model.quantisation to none.",
            )
        # The run's reporter says the same, and to more than a terminal.
        self.remove_callback(PrinterCallback)
        # The loss is divided by the global batch here, so the Trainer must not divide it again.
        self.loss_is_scaled_for_ga = True
        self._held_out = (
            HeldOutLoss(
                model,
                held_out,
                shape.micro_batch_size,
                autocast=self._autocast,
                rank=shape.rank,
                world_size=shape.world_size,
                add_up=self.add_up,
            )
            if held_out
            else None
        )
        if spec.training.compile:
            compile_layers(model.network)

    def _score_source(self, directory: Path, cache: ScoreCache | None) -> ScoreSource:
        objective = self.spec.objective
        if cache is not None:
            return FrozenScores(cache)
        if objective.probe == "every_k":
            stored = directory / TRAINER_DIRECTORY / "rates"
            return PeriodicScores(self.diffusion_model, self._autocast, objective.probe_every, stored)
        return OnlineScores(self.diffusion_model, self._autocast)

    def get_train_dataloader(self) -> EpochLoader:
        # Not given to accelerate: it would fill a short last batch with examples from the first.
        collate_fn = partial(collate, eos_id=self.diffusion_model.eos_id)
        return EpochLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=collate_fn)

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Tensor]:
        """The noised micro-batches of one optimiser step, and what its loss is divided by.

        All are probed before the first is learned from: the weights are the same, and `reference: batch` is then the
        mean over the whole step, however it is divided.
        """
        batches = list(islice(epoch_iterator, num_batches))
        probed = self._probed(batches)
        scores = [pick(found, self._recipe.score) if self._recipe.score else None for found in probed]
        reference = self._shared_reference(batches, scores)
        objective, normalisation = self.spec.objective, self.spec.training.normalisation
        inputs = []
        for batch, found, score in zip(batches, probed, scores, strict=True):
            relative = batch_rates(objective, batch, score, self.spec.seed, reference)
            entropy = pick(found, "entropy") if self._recipe.score else None
            noised = noise(objective, batch, relative, self.diffusion_model.mask_id, normalisation, entropy)
            # The tensors go to the device; `noised` stays on the host, for the accounting.
            inputs.append({**noised.model_inputs(), "noised": noised})
        counted = [
            len(batch.examples) if normalisation == "sequence" else int(batch.response_mask.sum()) for batch in batches
        ]
        # Added up where it is used: nothing here waits for the device.
        total = torch.tensor(float(sum(counted))).to(device, non_blocking=True)
        return inputs, self.accelerator.reduce(total, reduction="sum") if self.args.world_size > 1 else total

    def _prepare_input(self, data: Any) -> Any:
        if isinstance(data, Tensor):
            return data.to(self.args.device, non_blocking=True)
        return super()._prepare_input(data)

    def _probed(self, batches: Sequence[Batch]) -> list[Tensor]:
        """Scores [2, batch, length] of each micro-batch; nothing in them where the method asks for none."""
        if self._recipe.score is None:
            return [torch.empty(0)] * len(batches)
        return self._scores.scores(self.model_wrapped, batches, self._batches.epoch)

    def _shared_reference(self, batches: Sequence[Batch], scores: Sequence[Tensor | None]) -> Tensor | None:
        """beta_ref of the step where it is the mean over the step's batch, on whichever processes that lies."""
        if self.spec.objective.reference != "batch":
            return None
        sums = torch.zeros(2, dtype=torch.float64)
        for batch, score in zip(batches, scores, strict=True):
            if score is not None:
                sums += rate_sums(masking_rate(score, self.spec.objective.power), batch.response_mask)
        return mean_rate(self.add_up(sums))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective's loss on one micro-batch, as a share of the global batch's."""
        noised: NoisedBatch = inputs["noised"]
        self.positions_computed += noised.input_ids.numel()
        # Processes' gradients are averaged, and what is wanted is their sum.
        weights = inputs["weights"] * (self.args.world_size / num_items_in_batch)
        loss, cross_entropy = read_head(
            model,
            inputs["input_ids"],
            inputs["attention_mask"],
            inputs["positions"],
            partial(weighted_cross_entropy, targets=inputs["targets"], weights=weights),
            self.diffusion_model.logit_shift,
        )
        self.accounts.add(self.state.global_step + 1, noised, cross_entropy)
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        if norm is not None:
            self.accounts.add_norm(self.state.global_step + 1, torch.as_tensor(norm))
        return norm

    def add_up(self, sums: Tensor) -> Tensor:
        """A vector summed over all processes, on the CPU; the order of the processes fixes the order of the sum."""
        if self.args.world_size == 1:
            return sums
        # One device has no fp64 (MPS), and none of those trains in several processes.
        return self.accelerator.gather(sums.to(self.args.device)[None]).sum(0).cpu()

    def held_out_losses(self) -> dict[str, float]:
        """`eval_loss`, the same yardstick for every method, and the method's own; nothing without held-out examples."""
        if self._held_out is None:
            return {}
        network = self.model_wrapped
        losses = {"eval_loss": self._held_out.standard(network)}
        if self.spec.objective.method != "sft":
            losses["eval_objective"] = self._held_out.own(
                network, self.spec.objective, self._held_out_scores, self.spec.seed
            )
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._not_finite(f"{name} is {value} at step {self.state.global_step}. ")
        return losses

    def _held_out_scores(self, network: nn.Module, batches: Sequence[Batch]) -> list[Tensor]:
        # Held-out examples come in no epoch: a periodic probe asks the current model, like an online one.
        source = self._scores
        if isinstance(source, PeriodicScores):
            source = OnlineScores(self.diffusion_model, self._autocast)
        return source.scores(network, batches, 0)

    def check_finite(self) -> None:
        """Raise `NotFiniteError` for the first step since the last report whose loss or gradient is not finite."""
        bad = self.accounts.first_bad()
        found = self.add_up(torch.tensor([float(bad is not None)]))
        if not float(found):
            return
        if bad is None:
            raise NotFiniteError("Another process found a loss that is not finite; its message says more.")
        raise self._not_finite(
            f"The {bad.what} of step {bad.step} is not finite. "
            + (f"It comes from {_named(bad.culprits)} of the batch with " if bad.culprits else "Its batch held ")
            + f"{_named(bad.examples)}. "
        )

    def _not_finite(self, what: str) -> NotFiniteError:
        kept = next(complete_checkpoints(Path(self.args.output_dir)), None)
        kept_text = f"The last good checkpoint is kept: {kept.name}." if kept else "No checkpoint was written before."
        return NotFiniteError(
            what + kept_text,
            field="training.learning_rate",
            remedy="Lower training.learning_rate, raise training.warmup_share, or train in fp32.",
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint to resume from, and seal it once it is whole. Weights that went bad are never written."""
        self.check_finite()
        self._scores.flush()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            directory = Path(self.args.output_dir)
            seal(directory / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            # Not by the Trainer: it removes the old ones before the new one counts, and goes by their dates.
            keep_newest(directory, KEPT_CHECKPOINTS)
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # The Trainer's own would ask the Hub about adapters, and add a pickle of its arguments.
        assert output_dir is not None
        write_model(self.unwrapped_model(), Path(output_dir), state_dict)

    def unwrapped_model(self) -> DiffusionModel:
        """The model, without what accelerate has wrapped it in."""
        return replace(self.diffusion_model, network=self.accelerator.unwrap_model(self.model))

    def trained_model(self) -> DiffusionModel:
        """Return the model as its saved checkpoint loads: adapters merged, and outside training's autocast.

        Call it after the last step: the weights are changed in place. Adapters of a quantised base stay as they are.
        """
        network = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if isinstance(network, PeftModel) and self.spec.model.quantisation == "none":
            network.merge_adapter()
        return replace(self.diffusion_model, network=network)

    def epoch_ends(self) -> None:
        """Tell the scores that every step of this epoch is done."""
        self._scores.epoch_ends(self._batches.epoch, self.accelerator.wait_for_everyone)


class _EpochEnd(TrainerCallback):
    def __init__(self, trainer: GiftTrainer) -> None:
        self.trainer = trainer

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not control.should_training_stop:
            self.trainer.epoch_ends()


def steps_per_epoch(spec: RunSpec, examples: int) -> int:
    """Optimiser steps in one pass over `examples`."""
    return -(-examples // spec.training.batch_size)


def evaluation_interval(spec: RunSpec, steps: int) -> int:
    """Optimiser steps from one held-out loss to the next, in a run of `steps`; the last step is evaluated too."""
    return spec.evaluation.loss_every or max(1, steps // spec.training.epochs)


def evaluations(spec: RunSpec, steps: int) -> int:
    """How often the held-out loss is measured: before the first step, at each interval, after the last."""
    return 1 + -(-steps // evaluation_interval(spec, steps))


def checkpoint_interval(spec: RunSpec, examples: int) -> int:
    """Optimiser steps from one checkpoint to the next."""
    return spec.training.checkpoint_every or steps_per_epoch(spec, examples)


def warmup_steps(spec: RunSpec, steps: int) -> int:
    """Optimiser steps until the learning rate is at its peak, in a run of `steps`."""
    return round(spec.training.warmup_share * steps)


def logging_interval(steps: int) -> int:
    """Optimiser steps from one report to the next, in a run of `steps`."""
    return max(1, steps // LOGGED_STEPS)


def _arguments(spec: RunSpec, examples: int, directory: Path) -> TrainingArguments:
    training = spec.training
    steps = steps_per_epoch(spec, examples) * training.epochs
    arguments = TrainingArguments(
        output_dir=str(directory / TRAINER_DIRECTORY),
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=warmup_steps(spec, steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        use_cpu=not torch.accelerator.is_available(),
        bf16=training.precision == "bf16",
        activation_checkpointing=training.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=logging_interval(steps),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=checkpoint_interval(spec, examples),
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=spec.seed,
        ddp_find_unused_parameters=False,
    )
    # One process drives one device: with several visible, the Trainer would wrap the model in nn.DataParallel.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def batch_shape(spec: RunSpec, rank: int = 0, processes: int = 1) -> BatchShape:
    """Divide the batch over the processes there are; raises `SpecError`."""
    return BatchShape(spec.training.batch_size, micro_batch_size(spec, processes), rank, processes)


def _named(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    return f"example{'s' if len(ids) > 1 else ''} {shown}"
