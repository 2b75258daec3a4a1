"""What there is: experiments, runs and jobs of every kind; stopping them and taking them up again; logs and metrics."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from gift_core.escaping import escaped_log
from ui.commands.connection import (
    DEFAULT_SERVER,
    PATIENCE,
    AsJson,
    Server,
    connect,
    pauses_within,
    persistently,
)
from ui.commands.output import date, duration, print_json, print_list, print_table, progress, say, why
from ui.commands.watching import EXPERIMENT_PREFIX, JOB_COLUMNS, RUN_COLUMNS

if TYPE_CHECKING:
    from api.job_views import JobView
    from api.schemas import MetricPointView
    from ui.commands.client import CommandClient

T = TypeVar("T")

_PAGE = 200
_METRICS_PAGE = 5000
_LONGEST_TAIL = 1_000_000
_LOOK_SECONDS = 1.0
_BROKEN_LETTER = "\ufffd"

JobId = Annotated[str, typer.Argument(metavar="ID", help="A run, or a job of any kind.")]
SeveralIds = Annotated[
    list[str], typer.Argument(metavar="ID", help="Runs or jobs of any kind; an experiment stands for its runs.")
]
ExperimentOption = Annotated[str | None, typer.Option(help="Only those of this experiment.")]
StateOption = Annotated[
    list[str] | None, typer.Option(help="queued, running, stopping, finished, stopped, failed, interrupted.")
]
LimitOption = Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)]


def experiments(
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=200)] = 50,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """List experiments, the newest first."""
    with connect(server) as client:
        found = client.experiments(limit)
    return print_list(
        found,
        {
            "experiment": lambda each: each.id,
            "name": lambda each: each.name,
            "methods": lambda each: ", ".join(each.spec.methods),
            "seeds": lambda each: ", ".join(map(str, each.spec.seeds)),
            "created": lambda each: date(each.created),
        },
        "There are no experiments.",
        as_json=as_json,
    )


def runs(
    experiment: ExperimentOption = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=500)] = 100,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """List runs with their results: `gift studio runs --state failed`."""
    with connect(server) as client:
        found = client.runs(experiment, state, limit)
    return print_list(found, RUN_COLUMNS, "There are no such runs.", as_json=as_json)


def jobs(
    kind: Annotated[str | None, typer.Option(help="train, evaluate, denoise, inspect, export, push.")] = None,
    state: StateOption = None,
    experiment: ExperimentOption = None,
    text: Annotated[str | None, typer.Option(help="Only those with this in their label.")] = None,
    limit: LimitOption = 50,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """List jobs of every kind: `gift studio jobs --kind export --state finished --json`."""
    narrowed = {"kind": kind, "state": state, "experiment": experiment, "text": text}
    with connect(server) as client:
        found = _listed(client, limit, narrowed)
    return print_list(found, JOB_COLUMNS, "There are no such jobs.", as_json=as_json)


def _listed(client: CommandClient, limit: int, narrowed: dict[str, Any]) -> list[JobView]:
    found: list[JobView] = []
    cursor = None
    while len(found) < limit:
        page = client.jobs(cursor, min(_PAGE, limit - len(found)), **narrowed)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    return found


def show(identity: JobId, as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Show a job: what was asked for, how it is, and every change of its state. With `--json` its spec too."""
    with connect(server) as client:
        job = client.job(identity)
    if as_json:
        return print_json(job)
    facts = {
        "label": f"{job.label} ({job.kind})",
        "state": f"{job.state} {job.phase if job.state == 'running' else ''}",
        "experiment": job.experiment_id,
        "steps": progress(job),
        "created": date(job.created),
        "took": duration(job.elapsed) if job.elapsed else "",
        "saved at step": job.saved_step if job.saved_step and job.state != "finished" else None,
        "may be asked": ", ".join(job.actions),
        "on": f"{job.host or ''} {job.placed_on}",
        "attempts": job.attempt,
        "failed of": why(job),
    }
    shown = [(name, str(value).strip()) for name, value in facts.items() if value not in (None, "")]
    print_table([each for each in shown if each[1]], {job.id: lambda each: each[0], "": lambda each: each[1]}, "")
    say("")
    return print_table(
        job.transitions,
        {
            "when": lambda change: date(change.time),
            "from": lambda change: change.before or "",
            "to": lambda change: change.after,
            "why": lambda change: change.cause,
        },
        "Nothing has happened to it.",
    )


def stop(
    ids: SeveralIds,
    discard: Annotated[
        bool, typer.Option("--discard", help="Keep nothing of what runs; when left out, a checkpoint is saved.")
    ] = False,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Stop after the current step and save: `gift studio resume` continues from there. Jobs that wait leave the queue.

    A job that leaves the queue keeps what it had. For a minute, `gift studio undo` brings back what was discarded.

    `gift studio stop run_x7c1 run_x7c2`, or all runs of an experiment: `gift studio stop exp_k2n8 --discard`
    """
    mode: Literal["save", "discard"] = "discard" if discard else "save"
    _do(server, ids, as_json, lambda client, job: client.stop_job(job, mode), skip_ended=True)


def resume(ids: SeveralIds, as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Go on with what was stopped, interrupted or failed, from its last checkpoint."""
    _do(server, ids, as_json, lambda client, job: client.resume_job(job))


def retry(ids: SeveralIds, as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Begin again at step 0 what was stopped, interrupted or failed.

    What it had is kept until there is a new checkpoint: until then, `gift studio undo` brings it back.
    """
    _do(server, ids, as_json, lambda client, job: client.retry_job(job))


def undo(ids: SeveralIds, as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Bring back what a job had before it started over or was discarded: `gift studio undo run_x7c1`.

    A discard can be undone for a minute, a new start for a minute and until it has its first checkpoint.
    """
    _do(server, ids, as_json, lambda client, job: client.undo_job(job))


def delete(
    ids: SeveralIds,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Forget jobs that have ended, with their files. Asks first, unless `--yes` is given."""
    with connect(server) as client:
        chosen = _chosen(client, ids)
        if not yes:
            typer.confirm(f"Delete {', '.join(chosen)} with all files?", abort=True)
        for job in chosen:
            client.delete_job(job)
            say(f"{job} is deleted.")


def _do(
    server: str,
    ids: list[str],
    as_json: bool,
    action: Callable[[CommandClient, str], JobView],
    *,
    skip_ended: bool = False,
) -> None:
    """Do something with each job and show how each is then."""
    with connect(server) as client:
        done = [action(client, job) for job in _chosen(client, ids, skip_ended=skip_ended)]
    if as_json:
        print_json(done)
    else:
        print_table(done, JOB_COLUMNS, "All have ended already.")


def _chosen(client: CommandClient, ids: list[str], *, skip_ended: bool = False) -> list[str]:
    """The jobs that were named, an experiment's runs in its place. `skip_ended`: of those, the ones that go on."""
    chosen: list[str] = []
    for identity in ids:
        if identity.startswith(EXPERIMENT_PREFIX):
            found = client.experiment(identity).runs
            chosen += [run.id for run in found if not (skip_ended and run.has_ended)]
        else:
            chosen.append(identity)
    return chosen


def log(
    identity: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    tail_bytes: Annotated[int, typer.Option(help="So much of its end.", min=1, max=_LONGEST_TAIL)] = 64_000,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print the log of a run or job: `gift studio log run_x7c1 -f`. Ctrl-C ends the reading only."""
    with connect(server, interrupted="The job goes on.") as client:
        for part in _log_parts(client, identity, tail_bytes, follow):
            # A file or another program gets the log as it is.
            sys.stdout.write(escaped_log(part) if sys.stdout.isatty() else part)
            sys.stdout.flush()


def _log_parts(client: CommandClient, identity: str, tail_bytes: int, follow: bool) -> Iterator[str]:
    text, offset = client.log_part(identity, None, tail_bytes)
    # It may begin in the middle of a letter.
    yield text.lstrip(_BROKEN_LETTER)
    ended = not follow
    while not ended:
        time.sleep(_LOOK_SECONDS)
        # In this order: what was written before the end is then never missed.
        ended = _again(lambda: client.job(identity)).ended is not None
        while text := (found := _again(partial(client.log_part, identity, offset)))[0]:
            offset = found[1]
            yield text


def _again(look: Callable[[], T]) -> T:
    """A look at a job that was there a moment ago."""
    return persistently(look, pauses_within(PATIENCE), was_there=True)


def metrics(
    ids: Annotated[list[str], typer.Argument(metavar="RUN", help="Runs; an experiment stands for its runs.")],
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each point instead of CSV.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print everything that runs have measured, as CSV: `gift studio metrics run_x7c1 > losses.csv`."""
    with connect(server) as client:
        points = _points(client, _chosen(client, ids))
        if as_json:
            for point in points:
                print_json(point, one_line=True)
        else:
            _write_csv(list(points))


def _points(client: CommandClient, runs: list[str]) -> Iterator[MetricPointView]:
    after = 0
    while runs:
        page = client.metrics(runs, after, _METRICS_PAGE)
        yield from page.points
        if not page.points:
            return
        after = page.cursor


def _write_csv(points: list[MetricPointView]) -> None:
    names = sorted({name for point in points for name in point.values})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["run", "step", "time", *names])
    for point in points:
        writer.writerow([point.run_id, point.step, point.time, *(point.values.get(name) for name in names)])
