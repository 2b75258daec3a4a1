"""One training run from spec to checkpoint: what `gift train` does, and the training process of a worker."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce

from gift_core.activations import MicroBatch
from gift_core.compilation import explained_compilation
from gift_core.data.sources import ResolveDataset, load_split, no_examples, task_problems
from gift_core.data.tokenisation import Tokenised, tokenise_all
from gift_core.data_spec import TaskSource
from gift_core.errors import SpecError, StoppedError
from gift_core.evaluation import score_task
from gift_core.memory import begin_anew
from gift_core.models.adapters import add_lora
from gift_core.models.architecture import Architecture
from gift_core.models.catalogue import pinned_name
from gift_core.models.fingerprint import fingerprint
from gift_core.models.loading import DiffusionModel, load_base, load_checkpoint
from gift_core.models.saving import save_checkpoint
from gift_core.models.starting import ResolveRun, start_model
from gift_core.models.template_date import dated
from gift_core.objectives import RECIPES
from gift_core.out_of_memory import explained_out_of_memory
from gift_core.provenance import Provenance
from gift_core.recovery import begin, last_checkpoint, reported_values, step_of
from gift_core.reporting import (
    CHECKPOINT,
    RESULT_FILE,
    SPEC_FILE,
    TRAINER_DIRECTORY,
    Line,
    Reporter,
    write_atomically,
)
from gift_core.scores import ScoreCache, fill
from gift_core.sizing import largest_micro_batch
from gift_core.spec import RunSpec, weight_dtype
from gift_core.tasks.registry import TASKS
from gift_core.training import GiftTrainer
from gift_core.training_report import TrainingReport

# Of a run without a place for its rates: they lie beside its metrics.
_OWN_RATES = "rates"


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; none of it changes the numbers.

    `rate_cache` is where frozen rates are kept and found again, the run's own directory when left out. `resume` goes on
    from the last whole checkpoint, if there is one. `resolve_run` finds the folder of the run to start from.
    `should_stop` is asked after each step: once it says so in one process, the run writes a checkpoint to resume from
    and raises `StoppedError`. With `save_when_stopped` it leaves its weights so far in `checkpoint/` as well, and a
    result.
    """

    listener: Callable[[Line], None] | None = None
    rate_cache: Path | None = None
    resume: bool = False
    resolve_run: ResolveRun = Path
    should_stop: Callable[[], bool] = lambda: False
    save_when_stopped: Callable[[], bool] = lambda: False


def run_training(
    spec: RunSpec, directory: Path, resolve_dataset: ResolveDataset, options: RunOptions | None = None
) -> dict[str, Any]:
    """Train as `spec` says. Leaves `metrics.jsonl`, `checkpoint/` and `result.json` in `directory`.

    Returns the result; raises a `GiftError` that says what is wrong and what to do. What it could resume from stays in
    the directory until it has finished. In a process group of several, every process calls this, and the first one
    writes.
    """
    options = options or RunOptions()
    started = time.perf_counter()
    process = PartialState(cpu=not torch.accelerator.is_available())
    directory.mkdir(parents=True, exist_ok=True)
    resumed_from = _checkpoint_to_resume(spec, directory) if options.resume else None
    if process.is_main_process:
        begin(directory, spec, resumed_from)
    process.wait_for_everyone()
    begin_anew()
    reporter = Reporter(directory if process.is_main_process else None, options.listener)
    try:
        reporter.report(step_of(resumed_from) if resumed_from else 0, "loading")
        prepared = prepare(spec, resolve_dataset, options.resolve_run)
        rates = options.rate_cache or directory / _OWN_RATES
        cache = frozen_rates(spec, prepared, rates, reporter, process, options.should_stop)
        with prepared.explained_out_of_memory(spec), explained_compilation():
            trainer = prepared.trainer(spec, directory, cache)
            report = TrainingReport(trainer, reporter, reported_values(directory), options.should_stop)
            trainer.add_callback(report)
            trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
        steps, total = trainer.state.global_step, trainer.state.max_steps
        if steps < total:
            if options.save_when_stopped():
                reporter.report(steps, "saving")
                _save(trainer, directory / CHECKPOINT)
                write_atomically(directory / RESULT_FILE, json.dumps(_so_far(steps, report.latest, started)))
            raise StoppedError(f"The run was stopped after step {steps} of {total}.", remedy="It can be resumed.")
        reporter.report(steps, "saving", total_steps=steps)
        _save(trainer, directory / CHECKPOINT)
        result = _so_far(steps, report.latest, started)
        if process.is_main_process:
            source = spec.data.source
            if spec.evaluation.score and isinstance(source, TaskSource) and spec.data.held_out:
                model = _trained(trainer, directory)
                result["score"] = _score(model, spec, source, reporter, steps, options.should_stop)
            result["provenance"] = prepared.provenance.model_dump(mode="json")
            result["seconds"] = time.perf_counter() - started
            write_atomically(directory / RESULT_FILE, json.dumps(result, indent=2))
            shutil.rmtree(directory / TRAINER_DIRECTORY, ignore_errors=True)
        return result
    finally:
        reporter.close()


def _so_far(steps: int, latest: Mapping[str, float], started: float) -> dict[str, Any]:
    return {
        "steps": steps,
        "final_loss": latest.get("loss"),
        "held_out_loss": latest.get("eval_loss"),
        "seconds": time.perf_counter() - started,
    }


@dataclass(frozen=True)
class Prepared:
    """A model and its examples, ready to be trained. `base` is the fingerprint of the model that training begins with,
    a new adapter aside, where frozen rates are asked for."""

    model: DiffusionModel
    base: str
    training: Tokenised
    held_out: Tokenised
    provenance: Provenance

    @property
    def architecture(self) -> Architecture:
        """The sizes of the model."""
        return Architecture.of(self.model.network.config)

    def largest_micro_batch(self, spec: RunSpec) -> MicroBatch:
        """The longest sequences that can come together."""
        return largest_micro_batch(self.training.examples, spec)

    def explained_out_of_memory(self, spec: RunSpec) -> AbstractContextManager[None]:
        """Says what to lower where memory runs out inside."""
        return explained_out_of_memory(spec, self.largest_micro_batch(spec), self.architecture)

    def trainer(self, spec: RunSpec, directory: Path, cache: ScoreCache | None = None) -> GiftTrainer:
        """The trainer of these examples."""
        return GiftTrainer(self.model, spec, self.training.examples, self.held_out.examples, directory, cache)


def prepare(spec: RunSpec, resolve_dataset: ResolveDataset, resolve_run: ResolveRun = Path) -> Prepared:
    """Load the model and the data; raises a `GiftError`."""
    if spec.model.start_from is not None:
        model = start_model(spec, resolve_run)
    else:
        model = load_base(spec.model.name, quantisation=spec.model.quantisation, dtype=weight_dtype(spec))
    model = replace(model, tokenizer=dated(model.tokenizer, spec.data.template_date))
    split = load_split(spec.data, resolve_dataset)
    training, held_out = (
        tokenise_all(examples, model.tokenizer, spec.data, spec.sampling, model.context_length)
        for examples in (split.training, split.held_out)
    )
    if not training.examples:
        raise no_examples()
    base = fingerprint(model) if _needs_frozen_rates(spec) else ""
    # The only global randomness: initial LoRA weights and dropout. Data order and noise have their own keys.
    torch.manual_seed(spec.seed)
    if spec.training.adapter == "lora" and spec.model.start_from is None:
        model = replace(model, network=add_lora(model, spec.training.lora, pinned_name(spec.model.name)))
    return Prepared(model, base, training, held_out, Provenance.of(split))


def _checkpoint_to_resume(spec: RunSpec, directory: Path) -> Path | None:
    """The last whole checkpoint of the same spec; raises `SpecError` where the directory holds another's."""
    checkpoint = last_checkpoint(directory)
    if checkpoint is None:
        return None
    before = RunSpec.from_yaml(directory / SPEC_FILE)
    if before != spec:
        changed = ", ".join(before.differences(spec))
        raise SpecError(
            f"The run in {directory} was started with another spec: {changed} differ.",
            field=changed.split(", ")[0],
            remedy="Resume it with the spec it was started with, or start a new run in another folder.",
        )
    return checkpoint


def _needs_frozen_rates(spec: RunSpec) -> bool:
    return spec.objective.probe == "frozen" and RECIPES[spec.objective.method].score is not None


def rate_cache(spec: RunSpec, prepared: Prepared, directory: Path) -> ScoreCache:
    """The scores below `directory` that belong to the starting model, in the precision of the run."""
    return ScoreCache.of_model(directory, prepared.base, spec.training.precision)


def frozen_rates(
    spec: RunSpec,
    prepared: Prepared,
    directory: Path,
    reporter: Reporter | None = None,
    process: PartialState | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ScoreCache | None:
    """The starting model's scores of all examples, kept below `directory`; None where the spec needs none.

    Reports how many were computed and how many were there already. Raises `StoppedError` when it was asked to stop.
    """
    if not _needs_frozen_rates(spec):
        return None
    reporter, process = reporter or Reporter(None), process or PartialState()
    # A new adapter changes nothing yet: with it or without, this is the starting model.
    model = prepared.model
    cache = rate_cache(spec, prepared, directory)
    started = time.perf_counter()

    def show(done: int, total: int) -> None:
        # Several processes may not stop at different batches: they would wait for each other for ever.
        if process.num_processes == 1 and should_stop():
            cache.flush()
            raise StoppedError("The run was stopped before its first step.", remedy="It can be resumed.")
        left = (time.perf_counter() - started) / done * (total - done)
        reporter.report(0, "probing", {"probed": done, "to_probe": total}, eta_seconds=left)

    examples = [*prepared.training.examples, *prepared.held_out.examples]
    with prepared.explained_out_of_memory(spec):
        model.network.to(process.device)
        found = fill(
            cache,
            model,
            examples,
            prepared.largest_micro_batch(spec).rows,
            autocast=spec.training.precision == "bf16",
            rank=process.process_index,
            world_size=process.num_processes,
            on_progress=show,
        )
    process.wait_for_everyone()
    cache.reload()
    computed, reused = _over_all(process, [found.computed, found.reused])
    reporter.report(0, "probing", {"rates_computed": computed, "rates_reused": reused})
    return cache


def _over_all(process: PartialState, counts: list[int]) -> list[int]:
    """Counts summed over all processes."""
    mine = torch.tensor(counts, device=process.device)
    return list(reduce(mine, "sum").tolist()) if process.num_processes > 1 else counts


def _save(trainer: GiftTrainer, target: Path) -> None:
    """Every process takes part, since each may hold a part of the weights; the first one writes."""
    weights = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
    if trainer.is_world_process_zero():
        save_checkpoint(trainer.unwrapped_model(), target, weights)


def _trained(trainer: GiftTrainer, directory: Path) -> DiffusionModel:
    """Return the trained model in one piece, as an evaluation of its checkpoint loads it."""
    if trainer.is_fsdp_enabled:
        # On the host: what had to be divided for training may not fit on one device.
        return load_checkpoint(directory / CHECKPOINT)
    return trainer.trained_model()


def _score(
    model: DiffusionModel,
    spec: RunSpec,
    source: TaskSource,
    reporter: Reporter,
    steps: int,
    should_stop: Callable[[], bool],
) -> dict[str, float | int]:
    problems = task_problems(source, spec.data.held_out)[1]
    started = time.perf_counter()

    def show(done: int) -> None:
        if should_stop():
            raise StoppedError("The run was stopped while it was scored.", remedy="It can be resumed.")
        left = (time.perf_counter() - started) / done * (len(problems) - done) if done else None
        reporter.report(steps, "evaluating", total_steps=steps, eta_seconds=left)

    show(0)
    return score_task(model, TASKS[source.task], problems, spec.sampling, show)
