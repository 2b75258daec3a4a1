"""Settings with which a run learns nothing, found before it starts, and reports that show it, found while it trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from gift_core.errors import Problem, TrainingError
from gift_core.objectives import RECIPES, masked_by_rate
from gift_core.spec import Method, ObjectiveSpec, RunSpec

Code = Literal["masks_nothing", "masks_everything", "no_effect"]

# Shares of the tokens that are next to nothing and next to everything, before a run and in one of its reports.
_LITTLE, _MUCH = 0.05, 0.95
_NOTHING, _EVERYTHING = 1e-3, 1 - 1e-3
# What a report's quantiles of the masking probability tell from 0 and from 1.
_RESOLUTION = 1 / 256
# A loss below this is no more than rounding.
_NO_LOSS = 1e-9
# Reports after which a run that learns nothing is ended: a fraction of it, and too many for chance.
_PATIENCE = 20
# The most tokens that a vocabulary has, where the model's is not known.
_LARGEST_VOCABULARY = 2**18
# In nats: -log p of a token that a model thinks impossible, and the entropy of one that it is sure of.
_LARGEST_SURPRISE, _SMALL_ENTROPY = 100.0, 0.01
# Below these the optimiser's own epsilon, or the adapter's scale, leaves the weights as they are.
_LEAST_GRAD_NORM, _LEAST_LORA_SCALE = 1e-6, 1e-4

_ORDINARY = "Set objective.reference to sequence, or to a number near the masking rates that gift inspect shows."


def settings_without_effect(
    run: RunSpec, methods: Sequence[Method], vocabulary: int | None = None
) -> Iterator[tuple[Code, Problem]]:
    """What of a run's settings masks nothing, masks everything, or keeps its weights as they are."""
    yield from _masking(run.objective, methods, vocabulary or _LARGEST_VOCABULARY)
    training = run.training
    if training.max_grad_norm < _LEAST_GRAD_NORM:
        message = f"Gradients clipped at {training.max_grad_norm:g} are too small for AdamW: the weights hardly change."
        yield "no_effect", Problem(message, "training.max_grad_norm", "Start with 1.")
    scale = training.lora.alpha / training.lora.rank
    if training.adapter == "lora" and scale < _LEAST_LORA_SCALE:
        message = f"The adapter's update is multiplied by alpha / rank = {scale:g}: the model hardly changes."
        yield "no_effect", Problem(message, "training.lora.alpha", "Start with twice the rank.")


def _masking(objective: ObjectiveSpec, methods: Sequence[Method], vocabulary: int) -> Iterator[tuple[Code, Problem]]:
    rated = [method for method in methods if _masks_by_rate(method)]
    if not rated:
        return
    names = " and ".join(dict.fromkeys(method.upper() for method in rated))
    if objective.power == 0 or objective.rate_floor == objective.rate_ceiling:
        field = "power" if objective.power == 0 else "rate_ceiling"
        message = f"All tokens have the same masking rate: {names} learns as SFT does."
        yield "no_effect", Problem(message, f"objective.{field}", "Raise it.")
    most, least = _share(_most_rate(objective, rated, vocabulary)), _share(_least_rate(objective))
    if most < _LITTLE:
        ceiling = objective.rate_ceiling is not None and _share(objective.rate_ceiling) < _LITTLE
        message = f"{names} can mask {most:.2g} of the response tokens at most: next to nothing is learned."
        remedy = "Raise objective.rate_ceiling, or leave it out." if ceiling else _ORDINARY
        yield "masks_nothing", Problem(message, f"objective.{'rate_ceiling' if ceiling else 'reference'}", remedy)
    elif least > _MUCH:
        floor = _share(objective.rate_floor) > _MUCH
        whose = "" if floor else f" of an entropy above {_SMALL_ENTROPY} nats"
        message = f"{names} masks at least {least:.1%} of the response tokens{whose}: it learns from prompts alone."
        yield "masks_everything", Problem(message, f"objective.{'rate_floor' if floor else 'reference'}", _lower(floor))


def _masks_by_rate(method: Method) -> bool:
    recipe = RECIPES[method]
    return recipe.score is not None and recipe.probability is masked_by_rate


def _share(rate: float) -> float:
    """The mean of t_i = 1 - (1-t) ** r over t uniform on (0, 1)."""
    return 1.0 if math.isinf(rate) else rate / (1 + rate)


def _most_rate(objective: ObjectiveSpec, methods: Sequence[Method], vocabulary: int) -> float:
    """The largest r_i that any token can have; infinite where it is relative to the mean."""
    rate = math.inf
    if isinstance(objective.reference, float):
        score = max(_LARGEST_SURPRISE if RECIPES[method].score == "nll" else math.log(vocabulary) for method in methods)
        rate = score**objective.power / objective.reference
    ceiling = math.inf if objective.rate_ceiling is None else objective.rate_ceiling
    return min(max(rate, objective.rate_floor), ceiling)


def _least_rate(objective: ObjectiveSpec) -> float:
    """The smallest r_i of a token that the model is not sure of."""
    rate = 0.0
    if isinstance(objective.reference, float):
        rate = _SMALL_ENTROPY**objective.power / objective.reference
    ceiling = math.inf if objective.rate_ceiling is None else objective.rate_ceiling
    return min(max(rate, objective.rate_floor), ceiling)


def check_learning(spec: RunSpec, reports: Sequence[Mapping[str, float]], *, ended: bool) -> None:
    """Raise `TrainingError` for a run whose reports say that it masked nothing, or everything, from its start.

    Before the run has `ended`, only after many reports: in a few, chance may have masked nothing.
    """
    if not reports or not (ended or len(reports) >= _PATIENCE):
        return
    if all(map(_is_without_loss, reports)):
        raise _learned_nothing(spec, len(reports))
    if _masks_by_rate(spec.objective.method) and all(map(_masks_everything, reports)):
        raise _saw_nothing(spec, len(reports))


def _is_without_loss(values: Mapping[str, float]) -> bool:
    masked, likely = values["mask_ratio"], values.get("masking_probability_p90", 1.0)
    return masked == 0 or (masked < _NOTHING and likely < _RESOLUTION) or abs(values.get("loss", math.inf)) < _NO_LOSS


def _masks_everything(values: Mapping[str, float]) -> bool:
    return values["mask_ratio"] > _EVERYTHING and values.get("masking_probability_p10", 0.0) > 1 - _RESOLUTION


def _learned_nothing(spec: RunSpec, reports: int) -> TrainingError:
    objective = spec.objective
    if objective.rate_ceiling is not None and _share(objective.rate_ceiling) < _LITTLE:
        field, remedy = "objective.rate_ceiling", "Raise objective.rate_ceiling, or leave it out."
    elif isinstance(objective.reference, float):
        field, remedy = "objective.reference", _ORDINARY
    else:
        field, remedy = "training.epochs", "Train longer or on more examples: by chance these few had nothing to learn."
    message = f"Nothing was learned: no response token was masked, or next to none, in all {reports:,} reports."
    return TrainingError(message, field=field, remedy=remedy)


def _saw_nothing(spec: RunSpec, reports: int) -> TrainingError:
    by_floor = spec.objective.rate_floor > 1
    return TrainingError(
        f"All response tokens were masked in all {reports:,} reports: the model never saw a part of a response, and "
        "has not learned to fill in the rest of one.",
        field=f"objective.{'rate_floor' if by_floor else 'reference'}",
        remedy=_lower(by_floor),
    )


def _lower(floor: bool) -> str:
    return "Lower objective.rate_floor; the paper sets none." if floor else _ORDINARY
