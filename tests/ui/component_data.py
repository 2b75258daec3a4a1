"""Documents for the component tests: real pydantic models, with numbers that are easy to predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from gift_core.documents import (
    Candidate,
    CheckpointInspection,
    DatasetPreview,
    Inspection,
    RowPreview,
    Token,
)
from workers.lifecycle.actions import actions_of
from workers.records import Job

VOCABULARY = 56
HOSTILE = "</script><img src=x onerror=alert(1)>"
PUZZLE = "1..4\n.41.\n2..3\n.32.\n"
SOLUTION = "1234\n3412\n2143\n4321\n"


def tokens_of(text: str, tail: int = 0) -> list[Token]:
    """One token a character, then `tail` ends of text."""
    characters = [Token(id=ord(c) % VOCABULARY, text=c, glyph=i) for i, c in enumerate(text)]
    return characters + [Token(id=2, text="<|eos|>", special=True, glyph=len(text) + i) for i in range(tail)]


def words_of(*words: str) -> list[Token]:
    return [Token(id=i, text=word, glyph=i) for i, word in enumerate(words)]


def candidates(token: Token) -> list[Candidate]:
    others = [Token(id=40 + i, text=text, glyph=0) for i, text in enumerate("789")]
    return [
        Candidate(token=each, probability=p) for each, p in zip([token, *others], (0.6, 0.2, 0.1, 0.05), strict=True)
    ]


def checkpoint(label: str, response: list[Token], sharpness: float, power: float = 0.5) -> CheckpointInspection:
    """Entropies that fall with `sharpness`, and everything that the method derives from them."""
    entropy = np.random.default_rng(7).uniform(0.02, 1, len(response)) ** sharpness * np.log(VOCABULARY)
    rate = entropy**power
    return CheckpointInspection(
        checkpoint=label.lower(),
        label=label,
        entropy=entropy.tolist(),
        masking_rate=rate.tolist(),
        relative_rate=(rate / rate.mean()).tolist(),
        reference=float(rate.mean()),
        probability=np.exp(-entropy).tolist(),
        rank=[i % 4 for i in range(len(response))],
        top=[candidates(token) for token in response],
    )


def inspection(response: list[Token] | None = None) -> Inspection:
    response = response or tokens_of(SOLUTION, tail=4)
    return Inspection(
        prompt=tokens_of(PUZZLE),
        response=response,
        vocabulary_size=VOCABULARY,
        power=0.5,
        checkpoints=[
            checkpoint(label, response, sharpness) for label, sharpness in (("Base", 1.0), ("SFT", 2.5), ("GIFT", 4.0))
        ],
    )


def preview(tail_share: float = 0.17) -> DatasetPreview:
    questions = ("Natalia sold clips to 48 friends.", "How many in all?")
    return DatasetPreview(
        columns=["question", "answer", "source"],
        prompt_column="question",
        response_column="answer",
        recognised="question and answer, as GSM8K",
        used_columns=["question", "answer"],
        unused_columns=["source"],
        rows=7473,
        tokens=1_250_000,
        longest=312,
        overlong=0,
        tail_share=tail_share,
        examples=[
            RowPreview(
                row=row,
                prompt=words_of(*(f" {word}" for word in question.split())),
                response=[*words_of(" 48", " /", " 2", " =", " 24", "\n", " 72"), *tokens_of("", tail=3)],
                tail=3,
            )
            for row, question in enumerate(questions, 1)
        ],
    )


def run_view(run: str, label: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    view = {
        "id": run,
        "experiment_id": "e1",
        "label": label,
        "position": int(run.removeprefix("r")) - 1,
        "state": state,
        "phase": "training",
        "step": 70,
        "total_steps": 160,
        "tokens_per_second": 9012.4,
        "eta_seconds": 12.4,
        "created": 1_790_000_000.0,
        "started": 1_790_000_001.0,
        "ended": None,
        "result": None,
        "failure": None,
        "files_removed": None,
        "saved_step": 64,
        "undo_step": None,
        "first_attempt": 1,
        "elapsed": 31.0,
        **changes,
    }
    return view | {"actions": offered(view)}


def offered(view: dict[str, Any]) -> list[str]:
    """What the backend says may be asked of a job of which a document says this."""
    known = {name: view[name] for name in view.keys() & Job.model_fields.keys()}
    return [*actions_of(Job(spec={}, aside_attempt=view.get("undo_step"), **known))]


def points(first: int, last: int) -> list[dict[str, object]]:
    return [
        {"cursor": step, "step": step, "time": 1_790_000_000.0 + step, "values": {"loss": 3 * 0.98**step + 0.1}}
        for step in range(first, last)
    ]
