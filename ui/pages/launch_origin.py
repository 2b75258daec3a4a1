"""What the launch form can be filled from: a run or an experiment that was launched before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gift_core.errors import Problem
from gift_core.spec import ExperimentSpec, RunSpec
from ui.client import StudioClient
from ui.components import data_of
from ui.connection import StudioError
from ui.forms import NEEDS, in_effect, shown
from ui.links import address

_EXPERIMENT = "exp_"
_AGAIN = " again"
_MOST_CHARACTERS = 120
_QUEUED = ("priority", "devices", "device")


@dataclass(frozen=True)
class Origin:
    """What was asked for. `queued`: how its runs were queued; `added`: what more the experiment has by now."""

    title: str
    href: str
    name: str
    spec: ExperimentSpec
    queued: Mapping[str, Any]
    added: list[Problem] = field(default_factory=list)

    def shown(self, left: list[Problem]) -> str:
        """For an `origin` view; `left` is what the form does not have."""
        problems = [problem.as_dict() for problem in (*left, *self.added)]
        return data_of({"name": self.title, "href": self.href, "left": problems})


def find_origin(client: StudioClient, identity: str) -> Origin:
    """The run or the experiment of that id. Raises `StudioError`."""
    return _experiment(client, identity) if identity.startswith(_EXPERIMENT) else _run(client, identity)


def left_out(run: RunSpec, form: Mapping[str, Any]) -> list[Problem]:
    """The fields of a run that come out otherwise when the form is launched; `form` is what it sends of a run."""
    made = RunSpec.parse(form).replace({"objective.method": run.objective.method, "seed": run.seed})
    values = {needed: value_at(run.model_dump(), needed) for needed, _ in NEEDS.values()}
    return [_left_out(path, run, made) for path in made.differences(run) if in_effect(path, values)]


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """What nested dictionaries have at a dotted path; None where they have nothing."""
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _left_out(path: str, run: RunSpec, made: RunSpec) -> Problem:
    was, now = (shown(value_at(spec.model_dump(), path)) for spec in (run, made))
    if path == "model.start_from":
        return Problem(
            f"The weights of {was}, with which it began: this form begins with a base model.",
            path,
            "On the command line, gift studio clone keeps them.",
        )
    if path == "model.name":
        return Problem(f"{was} is not offered any more; it is {now} here.", path, "Choose another.")
    return Problem(f"It was {was}; it is {now} here.", path)


def _run(client: StudioClient, identity: str) -> Origin:
    job = client.job(identity)
    if job.kind != "train" or job.experiment_id is None:
        raise StudioError([Problem(f"{identity} is no run.", remedy="Clone one from the page Runs.")], 0)
    run = RunSpec.parse(job.spec)
    experiment = client.experiment(job.experiment_id)
    return Origin(
        title=f"{job.label} of {experiment.name}",
        href=address("runs", experiment=experiment.id),
        name=_again(experiment.name),
        spec=ExperimentSpec(run=run, methods=(run.objective.method,), seeds=(run.seed,)),
        queued=job.model_dump(include=set(_QUEUED)),
    )


def _experiment(client: StudioClient, identity: str) -> Origin:
    found = client.experiment(identity)
    launched = len(found.spec.expand())
    queued = [client.job(run.id).model_dump(include=set(_QUEUED)) for run in found.runs[:1]]
    added = [
        Problem(f"{run.label} was added to the experiment later.") for run in found.runs if run.position >= launched
    ]
    return Origin(
        title=found.name,
        href=address("runs", experiment=found.id),
        name=_again(found.name),
        spec=found.spec,
        queued={"stop_on_failure": found.stop_on_failure, **(queued[0] if queued else {})},
        added=added,
    )


def _again(name: str) -> str:
    return name.removesuffix(_AGAIN)[: _MOST_CHARACTERS - len(_AGAIN)] + _AGAIN
