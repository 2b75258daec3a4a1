"""An experiment read to its end: every wrong field is named, and what is right is there to be looked at further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gift_core.errors import Problem, problems_in
from gift_core.spec import ExperimentSpec

# Levels of objects in an experiment: itself, its run, a section, and a section of that, with one to spare.
_LEVELS = 5
_RUN = "run"


@dataclass(frozen=True)
class Reading:
    """`spec` has its default in place of each wrong value; `replaced` names those, dotted, as `problems` do.

    Fields of the run are named as its YAML file names them: `training.epochs`, not `run.training.epochs`.
    """

    spec: ExperimentSpec
    problems: tuple[Problem, ...] = ()
    replaced: frozenset[str] = frozenset()

    def is_given(self, *fields: str) -> bool:
        """Whether these fields, dotted, are what was asked for: none of them, nor a part of it, was replaced."""
        return not any(_overlap(field, other) for field in fields for other in self.replaced)


def read_experiment(values: object) -> Reading:
    """Read what should be an `ExperimentSpec`; what is wrong is in the reading, and nothing is raised."""
    tree = _copied(values) if isinstance(values, Mapping) else values
    found: dict[Problem, None] = {}
    replaced: frozenset[str] = frozenset()
    while True:
        reading = Reading(ExperimentSpec(), tuple(found), replaced)
        try:
            return Reading(ExperimentSpec.model_validate(tree), tuple(found), replaced)
        except ValidationError as error:
            items = error.errors(include_url=False)
        new = [
            item for item in items if _is_of_what_was_given(item, reading) and not _follows_from_another(item, items)
        ]
        found |= dict.fromkeys(
            Problem(problem.message, _in_run(problem.field), problem.remedy) for problem in problems_in(new)
        )
        taken = {path: item["type"] for item in items if (path := _take_out(tree, _location(item)))}
        if not taken:
            return Reading(ExperimentSpec(), tuple(found), frozenset({""}))
        # A field that does not exist stood for none that does.
        replaced |= {path for path, kind in taken.items() if kind != "extra_forbidden"}


def _is_of_what_was_given(item: Mapping[str, Any], reading: Reading) -> bool:
    """False for a check of several fields that fails since one of them has its default in place of a wrong value."""
    if item["type"] != "value_error":
        return True
    if "field" in item.get("ctx", {}):
        return reading.is_given(item["ctx"]["field"], item["ctx"]["other"])
    return reading.is_given(_in_run(".".join(map(str, item["loc"]))))


def _follows_from_another(item: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short because what stands in it is wrong, which has been said."""
    place = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in items
    )


def _location(item: Mapping[str, Any]) -> Sequence[str | int]:
    """Where the value is that has to go."""
    field = item.get("ctx", {}).get("field")
    return (*item["loc"], *field.split(".")) if field else item["loc"]


def _take_out(tree: Any, location: Sequence[str | int]) -> str | None:
    """Take the innermost value at `location` out of `tree`; its dotted name, None where there is none.

    Parts that name no key, such as a union's tags, are passed over. A list goes whole.
    """
    parent, key, path = None, None, []
    for part in location:
        if not isinstance(tree, dict):
            break
        if part in tree:
            parent, key, tree = tree, part, tree[part]
            path.append(str(part))
    if parent is None:
        return None
    del parent[key]
    return _in_run(".".join(path))


def _copied(values: Mapping[Any, Any], levels: int = _LEVELS) -> dict[Any, Any]:
    return {
        key: _copied(value, levels - 1) if levels and isinstance(value, Mapping) else value
        for key, value in values.items()
    }


def _in_run(path: str) -> str:
    return path.removeprefix(f"{_RUN}.")


def _overlap(field: str, other: str) -> bool:
    """Whether one is the other, or a part of it; "" is the whole."""
    one, two = sorted((field, other), key=len)
    return one in ("", _RUN) or one == two or two.startswith(f"{one}.")
