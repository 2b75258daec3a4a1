"""The records that a new experiment starts with."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

from gift_core.spec import CONTROLS, ExperimentSpec
from workers.records import Experiment, Job, JobKind

_ID_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class LaunchOptions:
    """How an experiment's runs are queued; none of it changes their numbers.

    `device` names a device (`cuda:1`) or a kind of them (`cuda`), "" is any; `stop_on_failure` stops the runs that wait
    when one fails.
    """

    priority: int = 0
    devices: int = 1
    device: str = ""
    stop_on_failure: bool = False


DEFAULT = LaunchOptions()


def new_experiment(
    spec: ExperimentSpec, subject: str, number: int, options: LaunchOptions = DEFAULT, by: str = ""
) -> Experiment:
    """Return the record of a new experiment; `subject`, its data, and `number` become part of a made-up name."""
    return Experiment(
        id=new_id("exp"),
        name=spec.name or _made_up_name(spec, subject, number),
        spec=spec.model_dump(mode="json"),
        created_by=by,
        stop_on_failure=options.stop_on_failure,
    )


def new_runs(experiment: Experiment, spec: ExperimentSpec, options: LaunchOptions = DEFAULT) -> list[Job]:
    """One queued run for each method and seed, in the order they are trained."""
    return [
        Job(
            id=new_id("run"),
            kind=JobKind.TRAIN,
            experiment_id=experiment.id,
            label=label,
            position=position,
            spec=run_spec.model_dump(mode="json"),
            created=experiment.created,
            rank=experiment.created,
            created_by=experiment.created_by,
            priority=options.priority,
            devices=options.devices,
            device=options.device,
        )
        for position, (label, run_spec) in enumerate(spec.expand())
    ]


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return f"{prefix}_{''.join(secrets.choice(_ID_ALPHABET) for _ in range(12))}"


def _made_up_name(spec: ExperimentSpec, subject: str, number: int) -> str:
    """Say what is trained and how; when is told beside it, in the time zone of whoever looks."""
    compared = [method.upper() for method in spec.methods if method not in CONTROLS]
    controls = len(spec.methods) - len(compared)
    methods = " + ".join(compared + ([f"{controls} control{'s' if controls > 1 else ''}"] if controls else []))
    return f"{subject} · {methods} · lr {spec.run.training.learning_rate:g} · #{number}"
