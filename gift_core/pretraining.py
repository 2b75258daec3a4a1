"""How the bundled tiny base is made: from nothing, on generated problems of the built-in tasks, with the studio's own
trainer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch

from gift_core.data.fingerprint import tokens_digest
from gift_core.data.sources import Split, examples_of
from gift_core.data.tokenisation import TokenisedExample, tokenise_all
from gift_core.data_spec import Difficulty
from gift_core.errors import StoppedError
from gift_core.evaluation import score_task
from gift_core.models.loading import DiffusionModel, load_checkpoint
from gift_core.models.saving import save_checkpoint
from gift_core.models.special_tokens import end_of_turn_id
from gift_core.models.tiny import CONTEXT_LENGTH, new_network, train_tokenizer
from gift_core.provenance import ExampleSet, Provenance, package_versions
from gift_core.recovery import (
    all_reported_values,
    begin,
    check_inputs_of,
    checkpoint_to_resume,
    drop_checkpoints,
    write_inputs,
)
from gift_core.reporting import CHECKPOINT, RECORD_FILE, Line, Reporter, write_atomically
from gift_core.spec import RunSpec
from gift_core.tasks import algebra, countdown, sudoku, word_problems
from gift_core.tasks.arithmetic import Size
from gift_core.tasks.countdown import Rules
from gift_core.tasks.registry import TASKS
from gift_core.tasks.task import Problem, draw_problems
from gift_core.training import GiftTrainer
from gift_core.training_report import TrainingReport

# Words that a visitor's own prompts are likely to hold, so that they read as words and not as letters.
_WORDS = """
the of and to in is that for it with as was on are be this have from or by one had not but what all were when we there
can an your which their if do will each how many more some than then now find make time number way could people two has
total left every per cost costs price dollars cents hours minutes days week weeks year years old first second last half
twice three four five six seven eight nine ten hundred students teacher school money buys sells gives answer question
problem solve row column grid digit so because therefore next know let us write equals plus minus times divided sum
difference product Janet Natalia James she he her his they friend friends day night water step check try again wrong
"""
# So many of the training problems show the tokenizer what words there are.
_TOKENIZER_SAMPLE = 4800
_HELD_OUT = 32


@dataclass(frozen=True)
class _Part:
    """Problems of one kind and their share of all; `distinct` where there are not many different ones, which then come
    several times."""

    name: str
    draw: Callable[[int, int, int], tuple[list[Problem], list[Problem]]]
    share: float
    distinct: int | None = None


def _parts() -> list[_Part]:
    """Mostly shorter chains than the standard level asks for, and Countdown solved in any way instead of the first: the
    base can do the steps and has seen the forms, and what a problem takes is left to be learned.

    Their names key the draws; what they hold is said here, whatever a task's levels become.
    """
    short, longer = Size(1, 2, "+-*/", 9), Size(2, 3, "+-*/", 9)

    def sudokus(level: Difficulty, share: float) -> _Part:
        return _Part(
            f"sudoku {level}", lambda count, seed, held_out: sudoku.generate(count, level, seed, held_out), share
        )

    def invented(
        name: str, invent: Callable[[random.Random], Problem], share: float, distinct: int | None = None
    ) -> _Part:
        return _Part(name, partial(draw_problems, invent, name), share, distinct)

    return [
        sudokus("easy", 0.22),
        invented("countdown easy", partial(countdown.invent, rules=Rules("+-", 9, 9)), 0.18, 1000),
        invented("word_problems easy", lambda rng: word_problems.TASK.invent(rng, short), 0.32),
        invented("algebra easy", lambda rng: algebra.TASK.invent(rng, short), 0.24, 1500),
        sudokus("standard", 0.01),
        invented("countdown standard", partial(countdown.invent, rules=Rules("+-*/", 9, 9)), 0.01),
        invented("word_problems standard", lambda rng: word_problems.TASK.invent(rng, longer), 0.01),
        invented("algebra standard", lambda rng: algebra.TASK.invent(rng, longer), 0.01),
    ]


@dataclass(frozen=True)
class PretrainingOptions:
    """How it is carried out; none of it changes the weights. As `gift_core.run.RunOptions`."""

    listener: Callable[[Line], None] | None = None
    resume: bool = False
    should_stop: Callable[[], bool] = lambda: False
    # Of each task and level, so many held-out problems are solved at the end.
    scored: int = 256


def pretraining_spec(seed: int) -> RunSpec:
    """A few passes of plain masked diffusion (SFT).

    Sums are what takes longest. They are learned at a rate below 1e-3: above it, what a batch teaches of them is lost
    in the noise of the next.
    """
    return RunSpec.parse(
        {
            "objective": {"method": "sft"},
            "training": {
                "epochs": 5,
                "learning_rate": 8e-4,
                "schedule": "cosine",
                "warmup_share": 0.05,
                "checkpoint_every": 250,
            },
            "evaluation": {"loss_every": 500},
            "seed": seed,
        }
    )


def mixture(count: int, seed: int, held_out: int = _HELD_OUT) -> tuple[list[Problem], list[Problem]]:
    """About `count` training problems in random order, and `held_out` others of each kind."""
    training: list[Problem] = []
    others: list[Problem] = []
    for part in _parts():
        wanted = round(count * part.share)
        found = part.draw(min(wanted, part.distinct or wanted), seed, held_out)
        training += islice(cycle(found[0]), wanted)
        others += found[1]
    random.Random(seed).shuffle(training)
    return training, others


def new_model(seed: int) -> DiffusionModel:
    """The tiny base before it has learned anything."""
    sample = mixture(_TOKENIZER_SAMPLE, seed)[0]
    texts = [text for problem in sample for text in (problem.prompt, problem.response)]
    tokenizer = train_tokenizer([*texts, *(f" {word}" for word in _WORDS.split())])
    torch.manual_seed(seed)
    ids = tokenizer.mask_token_id, tokenizer.eos_token_id, end_of_turn_id(tokenizer)
    return DiffusionModel(new_network(tokenizer), tokenizer, *ids)


def pretrain(target: Path, count: int, seed: int = 0, options: PretrainingOptions | None = None) -> dict[str, object]:
    """Train the tiny base into `target` and return its record: the spec, and the scores of every task and level.

    Raises `StoppedError` when it was asked to stop; with `resume` it goes on from there, to the same weights. Raises
    `SpecError` where that was started with other problems or another seed.
    """
    options = options or PretrainingOptions()
    spec = pretraining_spec(seed)
    model = new_model(seed)
    training, held_out, inputs = _problems(model, spec, count, seed)
    target.mkdir(parents=True, exist_ok=True)
    resumed_from = checkpoint_to_resume(target) if options.resume else None
    if resumed_from:
        check_inputs_of(target, spec, lambda _: inputs)
    begin(target, spec, resumed_from)
    write_inputs(target, inputs)
    reporter = Reporter(target, options.listener)
    trainer = GiftTrainer(model, spec, training, held_out, target)
    trainer.add_callback(TrainingReport(trainer, reporter, all_reported_values(target), options.should_stop))
    trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    steps, total = trainer.state.global_step, trainer.state.max_steps
    if steps < total:
        raise StoppedError(f"Stopped after step {steps} of {total}.")
    reporter.report(steps, "saving", total_steps=steps)
    # Half the size; what is loaded from it computes in fp32 all the same, as its config says.
    weights = {name: weight.to(torch.bfloat16) for name, weight in model.network.state_dict().items()}
    save_checkpoint(model, target / CHECKPOINT, weights)
    reporter.report(steps, "evaluating", total_steps=steps)
    record = {
        "spec": spec.model_dump(mode="json"),
        "problems": {"count": count, "shares": {part.name: part.share for part in _parts()}},
        "provenance": inputs.model_dump(mode="json"),
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "scores": scores(load_checkpoint(target / CHECKPOINT), spec, seed, options.scored),
    }
    write_atomically(target / RECORD_FILE, json.dumps(record, indent=2))
    drop_checkpoints(target)
    return record


def check_pretraining(target: Path, count: int, seed: int) -> None:
    """Raise `SpecError` unless the base in `target`, made or half made, is of this seed and these problems."""
    spec = pretraining_spec(seed)
    check_inputs_of(target, spec, lambda _: _problems(new_model(seed), spec, count, seed)[2])


def _problems(
    model: DiffusionModel, spec: RunSpec, count: int, seed: int
) -> tuple[list[TokenisedExample], list[TokenisedExample], Provenance]:
    """The training data, the held-out data, and the record of both."""
    split = Split(*map(examples_of, mixture(count, seed)))
    training, held_out = (
        tokenise_all(part, model.tokenizer, spec.data, spec.sampling, CONTEXT_LENGTH).examples
        for part in (split.training, split.held_out)
    )
    return (
        training,
        held_out,
        Provenance(
            training=ExampleSet.of(split.training),
            held_out=ExampleSet.of(split.held_out),
            versions=package_versions(),
            tokens=tokens_digest([*training, *held_out], [model.mask_id, model.eos_id]),
        ),
    )


def scores(model: DiffusionModel, spec: RunSpec, seed: int, count: int) -> dict[str, dict[str, dict[str, float | int]]]:
    """Held-out problems solved, by task and difficulty."""
    return {
        name: {
            difficulty: score_task(model, task, task.generate(0, difficulty, seed, count)[1], spec.sampling)
            for difficulty in task.levels
        }
        for name, task in TASKS.items()
    }
