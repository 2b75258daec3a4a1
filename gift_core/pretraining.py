"""How the bundled tiny base is made: from nothing, on generated easy Sudoku, with the studio's own trainer."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from gift_core.data.sources import load_split
from gift_core.data.tokenisation import tokenise_all
from gift_core.evaluation import score_sudoku
from gift_core.models.loading import DiffusionModel
from gift_core.models.saving import save_checkpoint
from gift_core.models.special_tokens import end_of_turn_id
from gift_core.models.tiny import CONTEXT_LENGTH, new_network, train_tokenizer
from gift_core.reporting import CHECKPOINT, Reporter, write_atomically
from gift_core.spec import RunSpec
from gift_core.tasks import sudoku
from gift_core.training import GiftTrainer
from gift_core.training_report import TrainingReport

# Words that a visitor's own prompts are likely to hold, so that they read as words and not as letters.
_WORDS = """
the of and to in is that for it with as was on are be this have from or by one had not but what all were when we there
can an your which their if do will each how many more some than then now find make time number way could people two has
total left each every per cost costs price dollars cents hours minutes days week weeks year years old first second last
half twice three four five six seven eight nine ten hundred apples books students teacher school money buys sells gives
answer question problem solve sudoku puzzle row column grid digit so because therefore next we know let us write equals
plus minus times divided sum difference product Janet Natalia James she he her his they friend friends day night water
"""


def pretraining_spec(examples: int, seed: int) -> RunSpec:
    """Easy puzzles, one pass, plain masked diffusion (SFT)."""
    return RunSpec.parse(
        {
            "data": {
                "source": {"kind": "task", "examples": examples, "min_blanks": 2, "max_blanks": 6},
                "held_out": 256,
            },
            "objective": {"method": "sft"},
            "training": {"epochs": 1, "learning_rate": 2e-3, "schedule": "cosine", "warmup_share": 0.2},
            "seed": seed,
        }
    )


def pretrain(target: Path, examples: int = 57_600, seed: int = 0) -> dict[str, object]:
    """Train the tiny base into `target` and return its record: spec and scores on puzzles of 4, 8, 10 and 11 blanks."""
    spec = pretraining_spec(examples, seed)
    split = load_split(spec.data, Path)
    tokenizer = train_tokenizer(
        [*(example.prompt for example in split.training[:200]), *(f" {word}" for word in _WORDS.split())]
    )
    torch.manual_seed(seed)
    model = DiffusionModel(
        new_network(tokenizer),
        tokenizer,
        tokenizer.mask_token_id,
        tokenizer.eos_token_id,
        end_of_turn_id(tokenizer),
    )
    training, held_out = (
        tokenise_all(part, tokenizer, spec.data, spec.sampling, CONTEXT_LENGTH).examples
        for part in (split.training, split.held_out)
    )
    target.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(target)
    trainer = GiftTrainer(model, spec, training, held_out, target)
    trainer.add_callback(TrainingReport(trainer, reporter))
    trainer.train()
    reporter.close()
    model.network.eval()
    save_checkpoint(model, target / CHECKPOINT)
    record = {
        "spec": spec.model_dump(mode="json"),
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "solved_by_blanks": {
            blanks: score_sudoku(model, sudoku.generate(0, blanks, blanks, seed, 256)[1], spec.sampling)
            for blanks in (4, 8, 10, 11)
        },
    }
    write_atomically(target / "record.json", json.dumps(record, indent=2))
    return record
