"""Experiments to start from, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gift_core.data_spec import DataSpec, TaskSource
from gift_core.models.catalogue import BUNDLED_MODELS, find_entry
from gift_core.spec import METHODS, ExperimentSpec, RunSpec, TrainingSpec

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

# Of models of 7 and 8 billion weights: GIFT's own runs with LoRA (arXiv 2509.20863), and LLaDA's fine-tuning of all
# weights (arXiv 2502.09992).
_LARGE_LORA, _LARGE_FULL = 1e-5, 2.5e-5


def usual_learning_rate(run: RunSpec) -> float | None:
    """The peak learning rate that is known to work for this kind of model and adapter; None where none is."""
    entry, lora = find_entry(run.model.name), run.training.adapter == "lora"
    if entry in BUNDLED_MODELS:
        return None if lora else TrainingSpec().learning_rate
    return (_LARGE_LORA if lora else _LARGE_FULL) if entry else None
