"""Runs that are stopped and resumed, and what changes beside them meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from gift_core.errors import StoppedError
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec


def write_rows(path: Path, first: int = 0, **more: str) -> None:
    rows = [{"prompt": f"{i} and {i + 1} make", "response": str(2 * i + 1), **more} for i in range(first, first + 24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def stop_after(step: int, spec: RunSpec, directory: Path) -> None:
    seen = {"step": 0}
    options = RunOptions(listener=lambda line: seen.update(step=line["step"]), should_stop=lambda: seen["step"] >= step)
    with pytest.raises(StoppedError, match="stopped after step"):
        run_training(spec, directory, Path, options)


def resume(spec: RunSpec, directory: Path) -> dict[str, object]:
    return run_training(spec, directory, Path, RunOptions(resume=True))


def change_weights(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    weights = load_file(path)
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1
    save_file(weights, path, {"format": "pt"})


def change_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    # Without its last merges it spells some words in other pieces.
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:20]
    path.write_text(json.dumps(tokenizer))


def damage(checkpoint: Path) -> None:
    optimiser = checkpoint / "optimizer.pt"
    optimiser.write_bytes(optimiser.read_bytes()[:-1])
