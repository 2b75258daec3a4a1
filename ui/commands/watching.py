"""How runs and other jobs go, while they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gift_core.cli_common import console
from gift_core.escaping import escaped_line
from ui.commands.connection import DEFAULT_SERVER, PATIENCE, Server, connect, resumed
from ui.commands.output import Column, duration, print_json, print_table, progress, why

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from api.schemas import RunView
    from ui.commands.client import CommandClient

EXPERIMENT_PREFIX = "exp_"

RUN_COLUMNS: dict[str, Column] = {
    "run": lambda run: run.id,
    "label": lambda run: run.label,
    "state": lambda run: run.state,
    "phase": lambda run: run.phase if run.state == "running" else "",
    "steps": progress,
    "left": lambda run: duration(run.eta_seconds) if run.state == "running" else "",
    "loss": lambda run: _number(run.result.final_loss) if run.result else "",
    "solved": lambda run: _score(run.result),
    "why": why,
}
JOB_COLUMNS: dict[str, Column] = {
    "job": lambda job: job.id,
    "kind": lambda job: job.kind,
    "label": lambda job: job.label,
    "state": lambda job: job.state,
    "steps": progress,
    "left": lambda job: duration(job.eta_seconds) if job.state == "running" else "",
    "on": lambda job: job.placed_on,
    "why": why,
}


def watch(
    identity: Annotated[str, typer.Argument(metavar="ID", help="An experiment, a run, or a job of any kind.")],
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for a studio that was lost before giving up.", min=0)
    ] = PATIENCE,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show how an experiment or a job goes until it has ended. Ctrl-C ends the watching, never what is watched.

    `gift studio watch exp_k2n8w0fz3qhd`

    `gift studio watch exp_k2n8w0fz3qhd --json | jq 'select(.event == "metrics")'`

    A studio that is restarted meanwhile is waited for. Ends with 1 where something did not finish.
    """
    with connect(server, interrupted=still_going(identity)) as client:
        if identity.startswith(EXPERIMENT_PREFIX):
            follow_experiment(client, identity, patience=patience, as_json=as_json)
        else:
            follow_jobs(client, [identity], patience=patience, as_json=as_json)


def still_going(identity: str) -> str:
    return f"Nothing was stopped: it goes on. `gift studio watch {identity}` shows it again."


def follow_experiment(
    client: CommandClient, experiment_id: str, *, patience: float = PATIENCE, as_json: bool = False
) -> None:
    """Until all of its runs have ended; then a table of them. Raises `typer.Exit` where one did not finish."""
    runs: dict[str, RunView] = {run.id: run for run in client.experiment(experiment_id).runs}
    # At once where nothing will happen any more: a stream would bring the past only.
    with _board(as_json) as board:
        for view in runs.values():
            board.show(view)
        for event in resumed(lambda after: client.events(experiment_id, after), patience) if _any_left(runs) else ():
            if as_json:
                print_json(event, one_line=True)
            if event.event == "run":
                runs[event.data.id] = event.data
                board.show(event.data)
            elif event.data.points:
                board.measured(event.data.run_id, event.data.points[-1].values)
            if not _any_left(runs):
                break
    _conclude(list(runs.values()), RUN_COLUMNS, as_json)


def follow_jobs(
    client: CommandClient,
    ids: Sequence[str],
    *,
    patience: float = PATIENCE,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """The same for jobs of every kind. `quiet`: the table is left out where all have finished."""
    jobs: dict[str, Any] = {identity: client.job(identity) for identity in ids}
    topics = [f"job:{identity}" for identity in ids]
    with _board(as_json) as board:
        for view in jobs.values():
            board.show(view)
        for event in resumed(lambda after: client.watch(topics, after), patience) if _any_left(jobs) else ():
            if as_json and not quiet:
                print_json(event, one_line=True)
            if event.event == "job":
                jobs[event.data.id] = event.data
                board.show(event.data)
            if not _any_left(jobs):
                break
    views = [jobs[identity] for identity in ids]
    _conclude(views, JOB_COLUMNS, as_json or (quiet and all(view.state == "finished" for view in views)))


def _conclude(views: Sequence[Any], columns: dict[str, Column], silent: bool) -> None:
    if not silent:
        print_table(views, columns, "There are no runs.")
    if any(view.state != "finished" for view in views):
        raise typer.Exit(1)


class Board:
    """A bar for each job on a terminal, and a line for each change where there is none."""

    def __init__(self, bars: Progress | None, silent: bool) -> None:
        self._bars = bars
        self._silent = silent
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[str, str]] = {}

    def show(self, view: Any) -> None:
        """How a job is now."""
        phase = view.phase if view.state == "running" else ""
        if self._bars is not None:
            self._draw(view, phase)
        elif not self._silent and self._said.get(view.id) != (view.state, phase):
            self._said[view.id] = (view.state, phase)
            doing = f" {phase}" if phase else ""
            console.print(
                escaped_line(f"{view.label} {view.state}{doing} {progress(view)}".rstrip()),
                markup=False,
                highlight=False,
            )

    def measured(self, job_id: str, values: dict[str, float | None]) -> None:
        """The newest values of a run."""
        if self._bars is not None and job_id in self._tasks and values.get("loss") is not None:
            self._bars.update(self._tasks[job_id], shown=f"loss {_number(values['loss'])}")

    def _draw(self, view: Any, phase: str) -> None:
        from rich.markup import escape

        assert self._bars is not None
        if view.id not in self._tasks:
            self._tasks[view.id] = self._bars.add_task("", total=None, shown="", left="")
        state = phase or view.state
        left = duration(view.eta_seconds) if view.state == "running" else ""
        # Where there is nothing to count, a full bar at the end and a moving one before it.
        total = view.total_steps or (1 if _has_ended(view) else None)
        done = view.step if view.total_steps else int(_has_ended(view))
        self._bars.update(
            self._tasks[view.id],
            description=f"{escape(escaped_line(view.label))} {state}",
            completed=done,
            total=total,
            left=left and f"{left} left",
        )


@contextmanager
def _board(as_json: bool) -> Iterator[Board]:
    if as_json or not console.is_terminal:
        yield Board(None, silent=as_json)
        return
    with _bars() as bars:
        yield Board(bars, silent=False)


def _bars() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    texts = (TextColumn("{task.fields[shown]}"), TextColumn("{task.fields[left]}"))
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *texts, console=console)


def _any_left(views: dict[str, Any]) -> bool:
    return not all(_has_ended(view) for view in views.values())


def _has_ended(view: Any) -> bool:
    return view.ended is not None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _score(result: Any) -> str:
    if result is None or result.score is None:
        return ""
    score = result.score
    return f"{100 * score.share:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
