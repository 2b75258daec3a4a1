"""An example of every body that the API takes, for its description; a test has each accepted by its route."""

from __future__ import annotations

from typing import Any

_TEXT = "What is 17 + 25?"
_TASK = {"kind": "task", "task": "word_problems", "examples": 64}
_ROWS = '{"prompt": "What is 1 + 1?", "response": "2"}\n'

# By method and path below the prefix, then by what each is an example of.
EXAMPLES: dict[str, dict[str, Any]] = {
    "POST /experiments": {
        "SFT and GIFT on the tiny base model": {},
        "GIFT with three seeds on a data set": {
            "name": "Three seeds",
            "run": {
                "data": {"source": {"kind": "file", "dataset": "ds_0123456789abcdef"}, "held_out": 64},
                "training": {"epochs": 3},
            },
            "methods": ["gift"],
            "seeds": [1, 2, 3],
        },
    },
    "POST /preflights": {
        "the body of a launch": {"run": {"training": {"epochs": 3}}, "methods": ["sft", "gift"]},
        "one with a problem": {"run": {"training": {"epochs": -1}}},
    },
    "POST /datasets": {"rows of JSONL": _ROWS},
    "POST /datasets/checks": {"rows of JSONL": _ROWS},
    "POST /datasets/hub": {"the training split of GSM8K": {"dataset": "openai/gsm8k", "config": "main"}},
    "POST /previews": {"the first rows of a built-in task": {"run": {"data": {"source": _TASK}}, "rows": 2}},
    "POST /inspections": {"one checkpoint": {"checkpoints": ["tiny"], "prompt": _TEXT, "response": "42"}},
    "POST /dataset-inspections": {
        "64 examples of a built-in task": {"checkpoints": ["tiny"], "run": {"data": {"source": _TASK}}, "examples": 64}
    },
    "POST /traces": {
        "from nothing": {"checkpoints": ["tiny"], "prompt": _TEXT, "sampling": {"steps": 16}, "seed": 1},
        "infill": {"checkpoints": ["tiny"], "prompt": _TEXT, "edits": [{"position": 0, "text": "42"}]},
    },
    "POST /traces/{trace_id}/branches": {
        "another text after four steps": {"cursor": 4, "edits": [{"position": 0, "text": "42"}]}
    },
    "POST /evaluations": {
        "twenty Sudokus": {
            "checkpoints": ["tiny"],
            "task": "sudoku",
            "source": {"kind": "generated", "count": 20},
            "lengths": [32],
        }
    },
    "POST /responses": {"two prompts": {"checkpoint": "tiny", "prompts": [_TEXT, "What is 3 * 4?"]}},
    "POST /exports": {"whole weights": {"run": "run_0123456789", "layout": "merged"}},
    "POST /pushes": {"to a private repository": {"run": "run_0123456789", "repository": "owner/name", "private": True}},
    "POST /jobs/{job_id}/clone": {
        "the same again": {},
        "with another learning rate": {"changes": {"training.learning_rate": 1e-4}, "name": "A smaller step"},
    },
    "POST /jobs/{job_id}/continue": {"for two more epochs": {"epochs": 2}},
    "PATCH /jobs/{job_id}": {
        "behind all others": {"last": True},
        "before another one": {"before": "run_0123456789"},
        "keep its files": {"pinned": True},
    },
    "POST /jobs/{job_id}/stop": {"keep what there is": {"mode": "save"}, "keep nothing": {"mode": "discard"}},
    "PATCH /accounts/{account_id}": {"more room": {"queued_runs": 200, "upload_mb": 2000}},
    "POST /keys": {"for a program, for 90 days": {"name": "nightly", "scopes": ["launch"], "expires_in_days": 90}},
}
