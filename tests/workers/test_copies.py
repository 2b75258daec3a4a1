"""Runs that go on from others, trained in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gift_core.reporting import CHECKPOINT
from gift_core.spec import ExperimentSpec
from tests.carrying_out import carry_out
from workers.copies import CopyService
from workers.dataset_inspections import DatasetInspectionService
from workers.evaluations import EvaluationService
from workers.models import ModelShelf
from workers.outputs import OutputService
from workers.records import Job, JobState
from workers.studio import Studio

SPEC = ExperimentSpec.parse(
    {
        "methods": ["sft"],
        "run": {
            # So small that a step leaves every weight as it is.
            "training": {"epochs": 1, "learning_rate": 1e-30, "precision": "fp32"},
            "data": {"source": {"kind": "task", "task": "word_problems", "examples": 4}, "held_out": 0},
            "evaluation": {"score": False},
        },
    }
)


@pytest.fixture
def copies(studio: Studio) -> CopyService:
    shelf = ModelShelf(studio, threads=1)
    inspections = DatasetInspectionService(studio, shelf)
    return CopyService(studio, EvaluationService(studio, shelf), inspections, OutputService(studio, shelf))


@pytest.fixture
def trained(studio: Studio) -> Job:
    (run,) = studio.store.runs(studio.launch(SPEC, None)[0].id)
    done = carry_out(studio, run.id)
    # No base has these weights: what goes on must have read them.
    path = studio.files(done) / CHECKPOINT / "model.safetensors"
    _scale(path, 0.5)
    return done


def _scale(path: Path, factor: float) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({name: factor * tensor for name, tensor in load_file(path).items()}, path, metadata)


def test_a_run_goes_on_from_the_weights_of_the_other(studio: Studio, copies: CopyService, trained: Job) -> None:
    more = carry_out(studio, copies.prolong(trained.id, 2).id)
    assert more.state == JobState.FINISHED, more.failure
    assert more.total_steps == 2 * (trained.total_steps or 0)
    before, after = (load_file(studio.files(run) / CHECKPOINT / "model.safetensors") for run in (trained, more))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_whose_beginning_is_gone_says_so(studio: Studio, copies: CopyService, trained: Job) -> None:
    more = copies.prolong(trained.id, 1)
    shutil.rmtree(studio.files(trained))
    failed = carry_out(studio, more.id)
    assert failed.state == JobState.FAILED
    assert failed.failure is not None
    assert failed.failure["field"] == "model.start_from"
    assert failed.failure["remedy"]


def test_a_run_goes_on_however_many_trainings_wait(studio: Studio, copies: CopyService, trained: Job) -> None:
    studio.launch(SPEC.model_copy(update={"seeds": tuple(range(33))}), None)
    assert copies.prolong(trained.id, 1).state == JobState.QUEUED
