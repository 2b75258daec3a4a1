"""`GiftTrainer`: transformers' Trainer with the method's loss, common random numbers and a shared normaliser."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gift_core.data.collation import IGNORED, BucketSampler, NoisyDataset, collate
from gift_core.data.tokenisation import TokenisedExample
from gift_core.errors import TrainingError
from gift_core.held_out import held_out_loss
from gift_core.models.forward import logits_at
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import corrupt, cross_entropy, entropy, rates, reduce_loss
from gift_core.reporting import Reporter
from gift_core.spec import RunSpec

# Logged steps per run: enough for a smooth curve, few enough not to wait for the device at every step.
_LOGGED_STEPS = 500


class GiftTrainer(Trainer):
    """Trains `model.network` on tokenised examples as `spec` says and reports to `reporter`."""

    def __init__(
        self,
        model: DiffusionModel,
        spec: RunSpec,
        training: Sequence[TokenisedExample],
        held_out: Sequence[TokenisedExample],
        directory: Path,
        reporter: Reporter,
    ) -> None:
        self.spec = spec
        self.diffusion_model = model
        self.held_out = held_out
        self._sums = _Sums()
        self._report = _Report(self, reporter)
        arguments = _arguments(spec, len(training), directory)
        super().__init__(
            model=model.network,
            args=arguments,
            train_dataset=NoisyDataset(training, spec.seed),
            data_collator=partial(collate, eos_id=model.eos_id),
            callbacks=[self._report],
        )
        if arguments.world_size > 1:
            raise TrainingError("Training over several processes is not supported yet.", remedy="Start one process.")
        # The reporter says the same, and to more than a terminal.
        self.remove_callback(PrinterCallback)
        # The loss is divided by the global batch here, so the Trainer must not divide it again.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        dataset = self.train_dataset
        lengths = [len(example.input_ids) for example in dataset.examples]
        sampler = BucketSampler(lengths, self.spec.training.batch_size, self.spec.seed)
        loader = DataLoader(
            dataset,
            batch_size=self._train_batch_size,
            sampler=_Epochs(sampler, dataset),
            collate_fn=self.data_collator,
        )
        return self.accelerator.prepare(loader)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective's loss on one micro-batch, as a share of the global batch's."""
        objective, training = self.spec.objective, self.spec.training
        labels, attention_mask = inputs["labels"], inputs["attention_mask"]
        response_mask = labels != IGNORED
        probe_entropy = None
        if objective.method != "sft":
            probe_entropy = self._probe(model, inputs["input_ids"], attention_mask, response_mask)
        relative = rates(objective, probe_entropy, response_mask)
        corruption = corrupt(relative, inputs["t"], inputs["u"], objective.weighting)
        masked = corruption.masked
        noised = inputs["input_ids"].masked_fill(masked, self.diffusion_model.mask_id)
        losses = cross_entropy(logits_at(model, noised, attention_mask, masked), labels[masked])
        assert num_items_in_batch is not None
        loss = reduce_loss(losses, corruption, response_mask, training.normalisation, num_items_in_batch)
        self._sums.add(inputs, response_mask, masked, corruption.weight * losses.detach(), probe_entropy)
        return loss

    @torch.no_grad()
    def _probe(
        self, model: torch.nn.Module, input_ids: Tensor, attention_mask: Tensor, response_mask: Tensor
    ) -> Tensor:
        """H_i with all of the response masked, [batch, length]; 0 outside the response."""
        masked = input_ids.masked_fill(response_mask, self.diffusion_model.mask_id)
        uncertainty = torch.zeros(input_ids.shape, device=input_ids.device)
        # Dropout would make the rates noisy: the probe asks what the model believes.
        model.eval()
        uncertainty[response_mask] = entropy(logits_at(model, masked, attention_mask, response_mask))
        model.train()
        return uncertainty

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """The micro-batches of one optimiser step, and what its loss is divided by: response tokens or sequences."""
        batches, response_tokens = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.spec.training.normalisation == "token":
            return batches, response_tokens
        return batches, torch.tensor(sum(len(batch["t"]) for batch in batches), device=device)

    def evaluate_held_out(self) -> float | None:
        """Standard loss on the held-out examples, the same yardstick for every method; None without any."""
        if not self.held_out:
            return None
        training = self.spec.training
        rows = training.micro_batch_size or training.batch_size
        return held_out_loss(self.diffusion_model, self.held_out, rows, autocast=training.precision == "bf16")

    @property
    def latest_metrics(self) -> dict[str, float]:
        """The last value of every metric."""
        return dict(self._report.latest)

    def pop_metrics(self) -> dict[str, float]:
        """What the steps since the last call added up to; synchronises with the device."""
        sums, self._sums = self._sums, _Sums()
        return sums.metrics()


class _Epochs(torch.utils.data.Sampler[int]):
    """Tells the data set which epoch it is in, since its noise is keyed by it, whenever the order is told."""

    def __init__(self, order: BucketSampler, dataset: NoisyDataset) -> None:
        self.order = order
        self.dataset = dataset

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Any:
        return iter(self.order)


class _Sums:
    """Running sums on the device; nothing waits for them until a step is logged."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.tokens: Tensor | int = 0
        self.response: Tensor | int = 0
        self.masked: Tensor | int = 0
        self.weighted: Tensor | float = 0.0
        self.weighted_tail: Tensor | float = 0.0
        self.entropy: Tensor | float | None = None

    def add(
        self,
        inputs: dict[str, Tensor],
        response_mask: Tensor,
        masked: Tensor,
        weighted: Tensor,
        probe_entropy: Tensor | None,
    ) -> None:
        self.tokens += inputs["attention_mask"].sum()
        self.response += response_mask.sum()
        self.masked += masked.sum()
        self.weighted += weighted.sum()
        self.weighted_tail += (weighted * inputs["tail_mask"][masked]).sum()
        if probe_entropy is not None:
            self.entropy = (self.entropy or 0.0) + probe_entropy.sum()

    def metrics(self) -> dict[str, float]:
        response, weighted = max(int(self.response), 1), float(self.weighted)
        values = {
            "tokens_per_second": int(self.tokens) / (time.perf_counter() - self.started),
            "mask_ratio": int(self.masked) / response,
            "tail_loss_share": float(self.weighted_tail) / weighted if weighted else 0.0,
        }
        if self.entropy is not None:
            values["mean_entropy"] = float(self.entropy) / response
        return values


class _Report(TrainerCallback):
    """Turns the Trainer's logs into the run's metrics, with the time that is left."""

    def __init__(self, trainer: GiftTrainer, reporter: Reporter) -> None:
        self.trainer = trainer
        self.reporter = reporter
        self.latest: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started, self.first_step = time.perf_counter(), state.global_step
        self.reporter.report(state.global_step, "training", self._held_out(), total_steps=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = control.should_log or self._is_evaluated(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        names = ("loss", "grad_norm", "learning_rate")
        values = {name: float(logs[name]) for name in names if name in logs} | self.trainer.pop_metrics()
        if self._is_evaluated(state):
            values |= self._held_out()
        for name in ("loss", "eval_loss"):
            if not math.isfinite(values.get(name, 0.0)):
                raise TrainingError(
                    f"{name} is {values[name]} at step {state.global_step}.",
                    remedy="Lower training.learning_rate, raise training.warmup_share, or train in fp32.",
                )
        self.latest |= values
        self.reporter.report(
            state.global_step, "training", values, total_steps=state.max_steps, eta_seconds=self._eta(state)
        )

    def _is_evaluated(self, state: Any) -> bool:
        spec = self.trainer.spec
        every = spec.evaluation.loss_every or max(1, state.max_steps // spec.training.epochs)
        return state.global_step % every == 0 or state.global_step == state.max_steps

    def _held_out(self) -> dict[str, float]:
        loss = self.trainer.evaluate_held_out()
        # What follows counts tokens per second of training: the clock starts again.
        self.trainer.pop_metrics()
        return {} if loss is None else {"eval_loss": loss}

    def _eta(self, state: Any) -> float:
        done = state.global_step - self.first_step
        return (time.perf_counter() - self.started) / max(done, 1) * (state.max_steps - state.global_step)


def _arguments(spec: RunSpec, examples: int, directory: Path) -> TrainingArguments:
    training = spec.training
    micro = training.micro_batch_size or training.batch_size
    steps = -(-examples // training.batch_size) * training.epochs
    arguments = TrainingArguments(
        output_dir=str(directory / "trainer"),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=training.batch_size // micro,
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=round(training.warmup_share * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        use_cpu=not torch.accelerator.is_available(),
        bf16=training.precision == "bf16",
        logging_steps=max(1, steps // _LOGGED_STEPS),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=spec.seed,
    )
    # One process drives one device: with several visible, the Trainer would wrap the model in nn.DataParallel.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
