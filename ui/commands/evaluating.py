"""Evaluating checkpoints on lists of problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gift_core.cli_common import Changes, parse_changes
from gift_core.data_spec import Difficulty
from gift_core.errors import SpecError
from gift_core.spec import SamplingSpec
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect
from ui.commands.output import print_json, print_table, say
from ui.commands.watching import follow_jobs

if TYPE_CHECKING:
    from api.schemas import EvaluationDetail
    from gift_core.evaluation_document import LengthComparison
    from gift_core.statistics import Difference


def evaluate(
    checkpoints: Annotated[list[str], typer.Argument(help="Base models and runs, as `gift studio checkpoints` lists.")],
    task: Annotated[str, typer.Option(help="sudoku, countdown, word_problems, algebra, or a benchmark.")] = "sudoku",
    count: Annotated[int | None, typer.Option(help="So many items, from the start of the list.", min=1)] = None,
    difficulty: Annotated[Difficulty | None, typer.Option(help="Level of a built-in task.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Take the items from this data set that was sent.")] = None,
    length: Annotated[list[int] | None, typer.Option(help="Tokens to generate; may be repeated.", min=1)] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Keys the noise; may be repeated.", min=0)] = None,
    changes: Changes = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show how it goes, and the results with intervals.")] = False,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Solve a list of problems with each checkpoint; the first is compared with each of the others.

    `gift studio evaluate run_x7c1 run_x7c2 tiny --task word_problems --count 256 --watch`

    `--set` changes the denoiser. The same command again goes on with what was stopped, and shows at once what is there.
    """
    request: dict[str, Any] = {"checkpoints": checkpoints, "task": task, "lengths": length or []}
    if seed:
        request["seeds"] = seed
    if source := _source(dataset, difficulty, count):
        request["source"] = source
    if changes:
        request["sampling"] = parse_changes(changes, SamplingSpec)
    with connect(server, interrupted="It goes on: the same command shows it again.") as client:
        begun = client.evaluate(request)
        if not watch:
            return _begun(begun, as_json)
        ids = [view.id for view in begun]
        follow_jobs(client, ids, as_json=as_json, quiet=True)
        found = [client.evaluation(identity) for identity in ids]
        compared = [client.compare_evaluations(ids[0], other) for other in ids[1:]]
    if as_json:
        return print_json({"results": found, "comparisons": compared})
    return _print_results(found, compared)


def _begun(begun: Sequence[Any], as_json: bool) -> None:
    if as_json:
        return print_json(begun)
    columns = {"evaluation": lambda each: each.id, "of": lambda each: each.label, "state": lambda each: each.state}
    return print_table(begun, columns, "")


def _source(dataset: str | None, difficulty: Difficulty | None, count: int | None) -> dict[str, Any]:
    if dataset:
        if difficulty:
            raise SpecError("A data set has no levels.", field="--difficulty", remedy="Leave it out.")
        return {"kind": "dataset", "dataset": dataset, "first": count}
    given = {"difficulty": difficulty, "count": count}
    found = {name: value for name, value in given.items() if value is not None}
    return {"kind": "generated", **found} if found else {}


def _print_results(found: Sequence[EvaluationDetail], compared: Sequence[Sequence[LengthComparison]]) -> None:
    print_table(
        [(each, condition) for each in found for condition in each.conditions],
        {
            "checkpoint": lambda row: row[0].label,
            "length": lambda row: row[1].sampling.length,
            "seed": lambda row: row[1].seed,
            "solved": lambda row: f"{row[1].solved.correct:,} of {row[1].solved.n:,}",
            "%": lambda row: f"{100 * row[1].solved.share:.1f}",
            "95 % interval": lambda row: f"{100 * row[1].solved.low:.1f} to {100 * row[1].solved.high:.1f}",
            "truncated": lambda row: row[1].truncated.correct,
        },
        "There are no answers.",
    )
    for other, comparisons in zip(found[1:], compared, strict=True):
        for each in comparisons:
            for line in _sentences(each):
                say(f"{found[0].label} minus {other.label}, length {each.length}: {line}")


def _sentences(compared: LengthComparison) -> list[str]:
    lines = [
        f"{_points(one.paired.difference)}, p = {one.paired.p:.2g} (McNemar, seed {one.seed})" for one in compared.seeds
    ]
    if compared.over_seeds:
        lines.append(f"{_points(compared.over_seeds)} over all seeds (bootstrap)")
    return lines


def _points(difference: Difference) -> str:
    return f"{difference.points:+.1f} points ({difference.low:+.1f} to {difference.high:+.1f})"
