"""Experiments to start from, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gift_core.spec import METHODS, DataSpec, ExperimentSpec, RunSpec, TaskSource, TrainingSpec

PRESETS: Mapping[str, ExperimentSpec] = MappingProxyType(
    {
        "Quick pair": ExperimentSpec(name="Quick pair"),
        "Controls": ExperimentSpec(name="Controls", methods=METHODS),
        "A against A": ExperimentSpec(name="A against A", methods=("gift", "gift")),
        "Smoke test": ExperimentSpec(
            name="Smoke test",
            run=RunSpec(
                data=DataSpec(source=TaskSource(examples=64), held_out=16),
                training=TrainingSpec(epochs=1, batch_size=16),
            ),
        ),
    }
)
