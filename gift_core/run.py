"""One training run from spec to checkpoint: what `gift train` does, and the training process of a worker."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from gift_core.data.sources import ResolveDataset, load_split, no_examples, sudoku_puzzles
from gift_core.data.tokenisation import tokenise_all
from gift_core.evaluation import score_sudoku
from gift_core.models.adapters import add_lora
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.reporting import CHECKPOINT, RESULT_FILE, SPEC_FILE, Line, Reporter, write_atomically
from gift_core.spec import RunSpec, TaskSource
from gift_core.training import GiftTrainer


def run_training(
    spec: RunSpec,
    directory: Path,
    resolve_dataset: ResolveDataset,
    listener: Callable[[Line], None] | None = None,
) -> dict[str, Any]:
    """Train as `spec` says. Leaves `metrics.jsonl`, `checkpoint/` and `result.json` in `directory`.

    Returns the result; raises a `GiftError` that says what is wrong and what to do.
    """
    started = time.perf_counter()
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / SPEC_FILE, spec.to_yaml())
    reporter = Reporter(directory, listener)
    try:
        reporter.report(0, "loading")
        model, trainer = _prepare(spec, directory, resolve_dataset, reporter)
        trainer.train()
        steps = trainer.state.global_step
        model.network.eval()
        last = trainer.latest_metrics
        result: dict[str, Any] = {"steps": steps, "final_loss": last["loss"], "held_out_loss": last.get("eval_loss")}
        if spec.evaluation.score and isinstance(spec.data.source, TaskSource) and spec.data.held_out:
            result["score"] = _score(model, spec, reporter, steps)
        reporter.report(steps, "saving", total_steps=steps)
        save_checkpoint(model, directory / CHECKPOINT)
        result["seconds"] = time.perf_counter() - started
        write_atomically(directory / RESULT_FILE, json.dumps(result, indent=2))
        return result
    finally:
        reporter.close()
        shutil.rmtree(directory / "trainer", ignore_errors=True)


def _prepare(
    spec: RunSpec, directory: Path, resolve_dataset: ResolveDataset, reporter: Reporter
) -> tuple[DiffusionModel, GiftTrainer]:
    model = load_base(spec.model.name)
    split = load_split(spec.data, resolve_dataset)
    if not split.training:
        raise no_examples()
    context = model.context_length
    training = tokenise_all(split.training, model.tokenizer, spec.data, spec.sampling, context)
    held_out = tokenise_all(split.held_out, model.tokenizer, spec.data, spec.sampling, context)
    # The only global randomness: initial LoRA weights and dropout. Data order and noise have their own keys.
    torch.manual_seed(spec.seed)
    if spec.training.adapter == "lora":
        model = replace(model, network=add_lora(model.network, spec.training.lora, spec.model.name))
    return model, GiftTrainer(model, spec, training, held_out, directory, reporter)


def _score(model: DiffusionModel, spec: RunSpec, reporter: Reporter, steps: int) -> dict[str, float | int]:
    puzzles = sudoku_puzzles(spec.data)[1]
    started = time.perf_counter()

    def show(done: int) -> None:
        left = (time.perf_counter() - started) / done * (len(puzzles) - done) if done else None
        reporter.report(steps, "evaluating", total_steps=steps, eta_seconds=left)

    show(0)
    return score_sudoku(model, puzzles, spec.sampling, show)


def save_checkpoint(model: DiffusionModel, target: Path) -> None:
    """Save weights (or the adapter) and tokenizer as safetensors, whole or not at all."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    # peft would ask the Hub whether the base's vocabulary grew; no adapter here touches embeddings.
    options = {"save_embedding_layers": False} if isinstance(model.network, PeftModel) else {}
    model.network.save_pretrained(str(beside), **options)
    model.tokenizer.save_pretrained(str(beside))
    shutil.rmtree(target, ignore_errors=True)
    beside.replace(target)
