"""One training run from spec to checkpoint: what `gift train` does, and the training process of a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import PreTrainedTokenizerFast

from gift_core.activations import MicroBatch
from gift_core.compilation import explained_compilation
from gift_core.data.fingerprint import tokens_digest
from gift_core.data.sources import ResolveDataset, Split, load_split, no_examples, task_problems
from gift_core.data.tokenisation import Tokenised, tokenise_all
from gift_core.data_spec import TaskSource
from gift_core.errors import StoppedError
from gift_core.evaluation import score_task
from gift_core.memory import begin_anew
from gift_core.models.adapters import add_lora
from gift_core.models.architecture import Architecture
from gift_core.models.catalogue import find_model
from gift_core.models.fingerprint import files_digest, fingerprint
from gift_core.models.loading import DiffusionModel, context_length, load_base, load_checkpoint, load_tokenizer
from gift_core.models.saving import save_checkpoint
from gift_core.models.starting import ResolveRun, base_name, start_checkpoint, start_model
from gift_core.models.template_date import dated
from gift_core.objectives import RECIPES
from gift_core.out_of_memory import explained_out_of_memory
from gift_core.provenance import Base, ExampleSet, Provenance, package_versions
from gift_core.recovery import (
    all_reported_values,
    begin,
    check_inputs,
    check_spec,
    checkpoint_to_resume,
    drop_checkpoints,
    read_inputs,
    step_of,
    write_inputs,
)
from gift_core.reporting import (
    CHECKPOINT,
    RESULT_FILE,
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
    resumed_from = checkpoint_to_resume(directory) if options.resume else None
    if resumed_from:
        check_spec(directory, spec)
    recorded = read_inputs(directory) if resumed_from else None
    if process.is_main_process and not resumed_from:
        begin(directory, spec, None)
    process.wait_for_everyone()
    begin_anew()
    reporter = Reporter(directory if process.is_main_process else None, options.listener)
    try:
        reporter.report(step_of(resumed_from) if resumed_from else 0, "loading")
        prepared = prepare(spec, resolve_dataset, options.resolve_run, recorded)
        if resumed_from:
            check_inputs(directory, prepared.provenance)
            if process.is_main_process:
                # Not before: a run that is refused keeps what it has reported.
                reporter.close()
                begin(directory, spec, resumed_from)
                reporter = Reporter(directory, options.listener)
            process.wait_for_everyone()
        if process.is_main_process:
            write_inputs(directory, prepared.provenance)
        rates = options.rate_cache or directory / _OWN_RATES
        cache = frozen_rates(spec, prepared, rates, reporter, process, options.should_stop)
        with prepared.explained_out_of_memory(spec), explained_compilation():
            trainer = prepared.trainer(spec, directory, cache)
            report = TrainingReport(trainer, reporter, all_reported_values(directory), options.should_stop)
            trainer.add_callback(report)
            trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
        steps, total = trainer.state.global_step, trainer.state.max_steps
        if steps < total:
            if options.save_when_stopped():
                reporter.report(steps, "saving")
                _save(trainer, directory / CHECKPOINT)
                write_atomically(directory / RESULT_FILE, json.dumps(_so_far(steps, report.latest, prepared, started)))
            raise StoppedError(f"The run was stopped after step {steps} of {total}.", remedy="It can be resumed.")
        reporter.report(steps, "saving", total_steps=steps)
        _save(trainer, directory / CHECKPOINT)
        result = _so_far(steps, report.latest, prepared, started)
        if process.is_main_process:
            source = spec.data.source
            if spec.evaluation.score and isinstance(source, TaskSource) and spec.data.held_out:
                model = _trained(trainer, directory)
                result["score"] = _score(model, spec, source, reporter, steps, options.should_stop)
            result["seconds"] = time.perf_counter() - started
            write_atomically(directory / RESULT_FILE, json.dumps(result, indent=2))
            drop_checkpoints(directory)
        return result
    finally:
        reporter.close()


def _so_far(steps: int, latest: Mapping[str, float], prepared: Prepared, started: float) -> dict[str, Any]:
    """What `finished_run.Result` holds, without a score."""
    return {
        "base": prepared.base,
        "provenance": prepared.provenance.model_dump(mode="json"),
        "steps": steps,
        "final_loss": latest.get("loss"),
        "held_out_loss": latest.get("eval_loss"),
        "seconds": time.perf_counter() - started,
    }


@dataclass(frozen=True)
class Prepared:
    """A model and its examples, ready to be trained.

    `base` is the name under which the base's weights are found again. `fingerprint` is that of the model that training
    begins with, a new adapter aside, "" unless frozen rates are asked for.
    """

    model: DiffusionModel
    base: str
    fingerprint: str
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


def prepare(
    spec: RunSpec, resolve_dataset: ResolveDataset, resolve_run: ResolveRun = Path, recorded: Provenance | None = None
) -> Prepared:
    """Load the model and the data; `recorded` is what an earlier start of the same run began with. Raises a
    `GiftError`."""
    base = base_name(spec, resolve_run, recorded.base if recorded else None)
    if spec.model.start_from is not None:
        model = start_model(spec, resolve_run, base)
    else:
        model = load_base(base, quantisation=spec.model.quantisation, dtype=weight_dtype(spec))
    model = replace(model, tokenizer=dated(model.tokenizer, spec.data.template_date))
    split, training, held_out = _examples(spec, resolve_dataset, model.tokenizer, model.context_length)
    provenance = _provenance(spec, resolve_run, base, split, model.tokenizer, [training, held_out])
    starting = fingerprint(model) if _needs_frozen_rates(spec) else ""
    # The only global randomness: initial LoRA weights and dropout. Data order and noise have their own keys.
    torch.manual_seed(spec.seed)
    if spec.training.adapter == "lora" and spec.model.start_from is None:
        model = replace(model, network=add_lora(model, spec.training.lora, base))
    return Prepared(model, base, starting, training, held_out, provenance)


def inputs_of(
    spec: RunSpec, resolve_dataset: ResolveDataset, resolve_run: ResolveRun = Path, recorded: Provenance | None = None
) -> Provenance:
    """What `prepare` would begin with, without loading a model; raises a `GiftError`."""
    base = base_name(spec, resolve_run, recorded.base if recorded else None)
    whole = spec.model.start_from is not None and spec.training.adapter == "full"
    source = str(start_checkpoint(spec, resolve_run)) if whole else base
    tokenizer = dated(load_tokenizer(source), spec.data.template_date)
    split, *tokenised = _examples(spec, resolve_dataset, tokenizer, context_length(source))
    return _provenance(spec, resolve_run, base, split, tokenizer, tokenised)


def _examples(
    spec: RunSpec, resolve_dataset: ResolveDataset, tokenizer: PreTrainedTokenizerFast, context: int
) -> tuple[Split, Tokenised, Tokenised]:
    split = load_split(spec.data, resolve_dataset)
    training, held_out = (
        tokenise_all(examples, tokenizer, spec.data, spec.sampling, context)
        for examples in (split.training, split.held_out)
    )
    if not training.examples:
        raise no_examples()
    return split, training, held_out


def _provenance(
    spec: RunSpec,
    resolve_run: ResolveRun,
    base: str,
    split: Split,
    tokenizer: PreTrainedTokenizerFast,
    tokenised: Sequence[Tokenised],
) -> Provenance:
    start = None if spec.model.start_from is None else start_checkpoint(spec, resolve_run)
    public = Base.named(base)
    # A commit of the Hub says which weights they are, and all weights of another run are not the base's any more.
    is_read = public.hub is None and (start is None or spec.training.adapter == "lora")
    return Provenance(
        training=ExampleSet.of(split.training),
        held_out=ExampleSet.of(split.held_out),
        versions=package_versions(),
        base=public.name,
        weights=files_digest(find_model(base, local_folders=True)) if is_read else None,
        start=None if start is None else files_digest(start),
        tokens=tokens_digest(
            chain.from_iterable(part.examples for part in tokenised),
            [tokenizer.mask_token_id, tokenizer.eos_token_id],
        ),
    )


def _needs_frozen_rates(spec: RunSpec) -> bool:
    return spec.objective.probe == "frozen" and RECIPES[spec.objective.method].score is not None


def rate_cache(spec: RunSpec, prepared: Prepared, directory: Path) -> ScoreCache:
    """The scores below `directory` that belong to the starting model, in the precision of the run."""
    return ScoreCache.of_model(directory, prepared.fingerprint, spec.training.precision)


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
