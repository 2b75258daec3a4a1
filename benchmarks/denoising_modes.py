"""What the faster modes save on the bundled tasks, and what they cost: passes, time and solved problems.

Each mode answers the same 256 held-out problems. It is compared with one token after the other to the last position;
all but that one stop early, as is the default. One after the other with an early stop writes the same text, so the
whole way is timed on the first batch only, where that is checked.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from _common import SEED, use_one_thread

from gift_core.data.tokenisation import Encoder
from gift_core.data_spec import TaskName
from gift_core.models.loading import DiffusionModel, load_base, load_checkpoint
from gift_core.recording import RUNS, recording_directory
from gift_core.reporting import CHECKPOINT
from gift_core.sampling import denoise_steps, text_of
from gift_core.spec import SamplingSpec
from gift_core.statistics import wilson_interval
from gift_core.tasks.registry import TASKS
from gift_core.tasks.task import Problem

PROBLEMS, BATCH = 256, 64
TARGET = 3.0
# The 0.975 quantile of the normal distribution.
_Z = 1.96
# The base was fine-tuned on word problems only; elsewhere it answers as it comes.
MODELS: Mapping[TaskName, str] = {
    "sudoku": "tiny",
    "countdown": "tiny",
    "algebra": "tiny",
    "word_problems": "run_recorded_gift",
}
ONE_BLOCK = SamplingSpec(length=48, block_length=48, steps=48, stop_early=False)
BLOCKS = SamplingSpec(length=96, block_length=16, steps=96, stop_early=False)
MODES: Mapping[str, dict[str, Any]] = {
    "early stop": {},
    "threshold 0.95": {"confidence_threshold": 0.95},
    "threshold 0.9": {"confidence_threshold": 0.9},
    "threshold 0.8": {"confidence_threshold": 0.8},
    "entropy bound 0.1": {"entropy_bound": 0.1},
    "entropy bound 0.3": {"entropy_bound": 0.3},
    "cached prefix": {"cache": "prefix"},
    "cached prefix, threshold 0.9": {"cache": "prefix", "confidence_threshold": 0.9},
}


@dataclass(frozen=True)
class Answers:
    """Texts of the problems, forward passes of all of them together, and CPU seconds of the first batch."""

    texts: list[str]
    passes: int
    seconds: float


def answers(model: DiffusionModel, problems: list[Problem], sampling: SamplingSpec) -> Answers:
    """Denoise `problems` in batches; a row that has ended takes no part in further passes."""
    encoder = Encoder(model.tokenizer)
    texts: list[str] = []
    passes, seconds = 0, []
    for start in range(0, len(problems), BATCH):
        prompts = [encoder.prompt(problem.prompt) for problem in problems[start : start + BATCH]]
        began = time.process_time()
        steps = list(denoise_steps(model, prompts, sampling))
        seconds.append(time.process_time() - began)
        passes += sum(int(step.read.any(1).sum()) for step in steps)
        last = steps[-1]
        texts += [text_of(model, ids) for ids in last.tokens.masked_fill(last.masked, model.eos_id).tolist()]
    return Answers(texts, passes, seconds[0])


def difference_interval(before: list[bool], after: list[bool]) -> tuple[float, float]:
    """95 % interval of the gain in solved problems, paired: Wald's with half a problem added to each of the four
    kinds of pairs (Agresti and Min, Statistics in Medicine 2005), so that equal outcomes too have one."""
    lost, won = (
        sum(one and not other for one, other in zip(*pair, strict=True)) + 0.5
        for pair in ((before, after), (after, before))
    )
    n = len(before) + 2
    centre = (won - lost) / n
    half = _Z * math.sqrt(won + lost - (won - lost) ** 2 / n) / n
    return centre - half, centre + half


def measure(name: TaskName, setting: SamplingSpec) -> list[str]:
    """The table's lines of one task and setting."""
    model = _model(MODELS[name])
    problems = TASKS[name].generate(SEED, "standard", 0, PROBLEMS)[1]
    modes = {
        mode: SamplingSpec.parse(setting.model_dump() | {"stop_early": True} | changes)
        for mode, changes in MODES.items()
    }
    answers(model, problems[:2], setting)
    whole = answers(model, problems[:BATCH], setting)
    found = {mode: answers(model, problems, sampling) for mode, sampling in modes.items()}
    reference = found["early stop"]
    if reference.texts[:BATCH] != whole.texts:
        raise AssertionError(f"{name}: an early stop changed a text")
    before = _solved(name, problems, reference.texts)
    start = f"| {name}, {setting.length} / {setting.block_length}"
    lines = [f"{start} | one by one | {setting.steps:.1f} | 1.0 | {_share(before)} | | |"]
    for mode, each in found.items():
        after = _solved(name, problems, each.texts)
        faster = whole.seconds / each.seconds
        low, high = difference_interval(before, after)
        gain = (sum(after) - sum(before)) / len(problems)
        lines.append(
            f"{start} | {mode} | {each.passes / len(problems):.1f} | {faster:.1f} | {_share(after)} "
            f"| {100 * gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) "
            f"| {'yes' if faster >= TARGET and high >= 0 else 'no'} |"
        )
    return lines


def _model(name: str) -> DiffusionModel:
    if name == "tiny":
        return load_base(name)
    return load_checkpoint(recording_directory() / RUNS / name / CHECKPOINT)


def _solved(name: TaskName, problems: list[Problem], texts: list[str]) -> list[bool]:
    verdicts = [TASKS[name].judge(problem.prompt, text) for problem, text in zip(problems, texts, strict=True)]
    return [verdict is not None and verdict.solved for verdict in verdicts]


def _share(solved: list[bool]) -> str:
    low, high = wilson_interval(sum(solved), len(solved))
    return f"{100 * sum(solved) / len(solved):.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Print the table, in markdown."""
    parser = argparse.ArgumentParser(description="What the faster modes of denoising save, and what they cost.")
    parser.add_argument("--processes", type=int, default=2, help="tasks that are measured at once, a thread each")
    parser.add_argument(
        "--blocks", action="store_true", help="96 tokens in blocks of 16, not 48 in one: twice the time"
    )
    arguments = parser.parse_args()
    print("| task, length / block | mode | passes | times faster | solved, % | minus one by one, points | target |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    setting = BLOCKS if arguments.blocks else ONE_BLOCK
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), use_one_thread) as pool:
        pending = [pool.submit(measure, name, setting) for name in MODELS]
        for lines in pending:
            print("\n".join(lines.result()), flush=True)


if __name__ == "__main__":
    main()
