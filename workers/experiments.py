"""The records that a new experiment starts with."""

from __future__ import annotations

import secrets
import string
from datetime import datetime

from gift_core.spec import CONTROLS, ExperimentSpec
from workers.records import Experiment, Run

_ID_ALPHABET = string.ascii_lowercase + string.digits


def new_experiment(spec: ExperimentSpec, key: str | None, subject: str, created_by: str = "") -> Experiment:
    """The record of a new experiment; `subject` is what its data is called in a made-up name."""
    return Experiment(
        id=_new_id("exp"),
        name=spec.name or _made_up_name(spec, subject),
        spec=spec.model_dump(mode="json"),
        idempotency_key=key,
        request_fingerprint=spec.fingerprint(),
        created_by=created_by,
    )


def new_runs(experiment: Experiment, spec: ExperimentSpec) -> list[Run]:
    """One queued run for each method and seed, in the order they are trained."""
    return [
        Run(
            id=_new_id("run"),
            experiment_id=experiment.id,
            label=label,
            position=position,
            spec=run_spec.model_dump(mode="json"),
            created=experiment.created,
        )
        for position, (label, run_spec) in enumerate(spec.expand())
    ]


def _new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(secrets.choice(_ID_ALPHABET) for _ in range(12))}"


def _made_up_name(spec: ExperimentSpec, subject: str) -> str:
    now = datetime.now()
    compared = [method.upper() for method in spec.methods if method not in CONTROLS]
    controls = len(spec.methods) - len(compared)
    methods = " + ".join(compared + ([f"{controls} control{'s' if controls > 1 else ''}"] if controls else []))
    return f"{subject} · {methods} · {now.day} {now:%b %H:%M}"
