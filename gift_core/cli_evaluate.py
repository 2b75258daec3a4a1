"""`gift evaluate`: how many problems of a list checkpoints solve, and whether one solves more than another."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gift_core.cli_common import CHECKPOINTS_HELP, Changes, console, open_model, parse_changes
from gift_core.data_spec import Difficulty
from gift_core.errors import SpecError
from gift_core.evaluation_spec import EvaluationPlan
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import EvaluationTaskName


def evaluate(
    checkpoints: Annotated[
        list[str], typer.Argument(help=f"{CHECKPOINTS_HELP} With --rescore: folders of finished evaluations.")
    ],
    task: Annotated[
        EvaluationTaskName, typer.Option(help="sudoku, countdown, word_problems, algebra, or a benchmark.")
    ] = "sudoku",
    items: Annotated[
        Path | None, typer.Option(help="Take the items from this .jsonl, .json, .csv or .parquet file.")
    ] = None,
    hub: Annotated[str | None, typer.Option(help="Take the items from this data set of the Hub, owner/name.")] = None,
    difficulty: Annotated[
        Difficulty | None, typer.Option(help="Level of a built-in task; standard when left out.")
    ] = None,
    item_seed: Annotated[int | None, typer.Option(help="Seed of generated items; 0 when left out.", min=0)] = None,
    count: Annotated[
        int | None, typer.Option(help="So many items, generated or from the start of the list.", min=1)
    ] = None,
    length: Annotated[
        list[int] | None, typer.Option(help="Tokens to generate; repeat for several lengths.", min=1)
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Keys the noise; repeat for several seeds, at a temperature.", min=0)
    ] = None,
    changes: Changes = None,
    batch: Annotated[int, typer.Option(help="Items denoised together; changes no answer.", min=1)] = 32,
    output: Annotated[
        Path, typer.Option(help="Folder for the answers, one below it per task and checkpoint.", file_okay=False)
    ] = Path("evaluations"),
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Ask no model: read saved answers, score and compare them again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results and comparisons as JSON.")] = False,
) -> None:
    """Solve a list of problems with each checkpoint; the first is compared with each of the others.

    Every answer is saved as it comes. Ctrl-C stops after the current batch, and the same command goes on from there.
    `--set` changes the denoiser: `--set steps=64 --set confidence_threshold=0.9`.
    """
    from gift_core.evaluation_report import Evaluation, compare_evaluations
    from gift_core.evaluation_tables import print_evaluations

    if rescore:
        own: dict[str, object] = {
            "--items": items,
            "--hub": hub,
            "--difficulty": difficulty,
            "--item-seed": item_seed,
            "--count": count,
            "--length": length,
            "--seed": seed,
            "--set": changes,
        }
        if given := [name for name, value in own.items() if value is not None]:
            raise SpecError(
                f"Saved answers are scored as they are: {', '.join(given)} would change nothing.",
                field="--rescore",
                remedy="Leave them out.",
            )
        folders = [Path(name) for name in checkpoints]
    else:
        source = _source(items, hub, difficulty, item_seed, count)
        plan = _plan(task, source, length, seed, parse_changes(changes or [], SamplingSpec))
        folders = _evaluated(checkpoints, plan, output / task, batch)
    evaluations = [Evaluation.read(folder) for folder in folders]
    results = [each.result() for each in evaluations]
    comparisons = [compare_evaluations(evaluations[0], other) for other in evaluations[1:]]
    if as_json:
        document = {
            "results": [result.model_dump(mode="json") for result in results],
            "comparisons": [[each.model_dump(mode="json") for each in found] for found in comparisons],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        print_evaluations(results, comparisons)


def _evaluated(checkpoints: Sequence[str], plan: EvaluationPlan, output: Path, batch: int) -> list[Path]:
    """The folder of each checkpoint, in which all answers now are."""
    from gift_core.evaluation_tables import evaluate_with_progress

    folders = [output / folder_name(name) for name in checkpoints]
    if len(set(folders)) < len(folders):
        raise SpecError(
            "Two of the checkpoints would share a folder.",
            field="checkpoints",
            remedy="Name each once, or evaluate apart.",
        )
    # One model after the other: the memory may not hold two.
    for name, folder in zip(checkpoints, folders, strict=True):
        model = open_model(name)
        evaluate_with_progress(model, name, plan, folder, batch, console)
        del model
    return folders


def folder_name(checkpoint: str) -> str:
    """What a checkpoint's folder is called: its name without what has a meaning in a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", checkpoint).strip("-.") or "checkpoint"


def _source(
    items: Path | None, hub: str | None, difficulty: str | None, seed: int | None, count: int | None
) -> dict[str, Any] | None:
    """The items that the options name; None for the task's own list."""
    if items and hub:
        raise SpecError("Items come from a file or from the Hub.", field="--items", remedy="Leave one of them out.")
    generated = {"difficulty": difficulty, "seed": seed}
    if (items or hub) and any(value is not None for value in generated.values()):
        raise SpecError(
            "--difficulty and --item-seed are for generated items.", field="--items", remedy="Leave them out."
        )
    if items:
        return {"kind": "file", "path": str(items), "first": count}
    if hub:
        return {"kind": "hub", "dataset": hub, "first": count}
    given = {name: value for name, value in (generated | {"count": count}).items() if value is not None}
    return {"kind": "own", **given} if given else None


def _plan(
    task: EvaluationTaskName,
    source: dict[str, Any] | None,
    lengths: list[int] | None,
    seeds: list[int] | None,
    sampling: dict[str, Any],
) -> EvaluationPlan:
    plan = EvaluationPlan(task=task)
    if source and source["kind"] == "own":
        source = _own_list(plan, source)
    changed: SamplingSpec | None = None
    if sampling:
        changed = SamplingSpec.parse(plan.denoiser().model_dump() | sampling)
    plan = EvaluationPlan.parse(
        {"task": task, "source": source, "sampling": changed, "lengths": lengths or (), "seeds": seeds or (0,)}
    )
    # Before a model is opened, which may take minutes.
    plan.conditions()
    return plan


def _own_list(plan: EvaluationPlan, given: dict[str, Any]) -> dict[str, Any]:
    """The task's own list with what the options say of it."""
    default = plan.evaluation_task.default_source
    asked = {name: value for name, value in given.items() if name != "kind"}
    if default.kind == "generated":
        return default.model_dump() | asked
    if set(asked) - {"count"}:
        raise SpecError(
            f"{plan.task} is a fixed list.", field="--difficulty", remedy="Leave --difficulty and --item-seed out."
        )
    return default.model_dump() | {"first": asked["count"]}
