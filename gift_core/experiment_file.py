"""Experiments from a YAML file and options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gift_core.errors import SpecError
from gift_core.spec import ExperimentSpec, RunSpec, read_yaml

# What an experiment has and a run has not.
_OF_EXPERIMENTS = frozenset({"run", "methods", "seeds", "name"})


def load_experiment(path: Path | None) -> ExperimentSpec:
    """The experiment of a file that holds one, or a single run's spec; the default pair without a file.

    Raises `SpecError`.
    """
    if path is None:
        return ExperimentSpec()
    given = read_yaml(path)
    if isinstance(given, dict) and given.keys() & _OF_EXPERIMENTS:
        return ExperimentSpec.parse(given)
    run = RunSpec.parse(given)
    return ExperimentSpec(run=run, methods=(run.objective.method,), seeds=(run.seed,))


def changed_experiment(
    experiment: ExperimentSpec,
    changes: Mapping[str, Any],
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    name: str | None = None,
) -> ExperimentSpec:
    """`changes` are to the run, by dotted field; what is None or empty stays. Raises `SpecError`."""
    for field, option in (("objective.method", "--method"), ("seed", "--seed")):
        if field in changes:
            message = "An experiment lists its methods and its seeds: this alone would change nothing."
            raise SpecError(message, field=field, remedy=f"Use {option}.")
    asked = {"methods": methods, "seeds": seeds, "name": name}
    changed = {"run": experiment.run.replace(dict(changes))} | {key: value for key, value in asked.items() if value}
    return ExperimentSpec.parse(dict(experiment) | changed)
