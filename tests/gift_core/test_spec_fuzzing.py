"""Whatever is sent as a spec: it is one, or it is refused with every field named. Nothing else comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gift_core.errors import Problem, SpecError
from gift_core.spec import ExperimentSpec, RunSpec
from gift_core.spec_reading import read_experiment

pytestmark = pytest.mark.slow

TEXT = st.text(st.characters(), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.sampled_from([2**63, 10**400, -1, 0, "1e999", "\ud800"]),
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
VALID = ExperimentSpec().model_dump(mode="json")


def paths(tree: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return [above]
    return [*([above] if above else []), *(path for key, value in tree.items() for path in paths(value, (*above, key)))]


PATHS = paths(VALID)
# Where to change the spec: at a field that there is, or beside it; and to what.
CHANGES = st.lists(st.tuples(st.sampled_from(PATHS), st.booleans(), TEXT, JSON), min_size=1, max_size=4)


def mutated(changes: list[tuple[tuple[str, ...], bool, str, Any]]) -> Any:
    tree = json.loads(json.dumps(VALID))
    for path, beside, name, value in changes:
        section = tree
        for part in path[:-1]:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[name if beside else path[-1]] = value
    return tree


def check_all(values: Any) -> None:
    """Each way in takes the same, and says what is wrong in words that can be sent and shown."""
    runs = values["run"] if isinstance(values, dict) and "run" in values else values
    taken = [parsed(ExperimentSpec, values), parsed(RunSpec, runs)]
    reading = read_experiment(values)
    assert (reading.problems == ()) == (taken[0] is not None)
    assert taken[0] is None or reading.spec == taken[0]
    for problem in reading.problems:
        check_words(problem)


def parsed(kind: type[Any], values: Any) -> BaseModel | None:
    problems: tuple[Problem, ...] = ()
    found = None
    try:
        found = kind.parse(values)
    except SpecError as error:
        problems = error.problems
    assert (found is None) == bool(problems)
    for problem in problems:
        check_words(problem)
    return found


def check_words(problem: Problem) -> None:
    assert problem.message
    str(problem).encode("utf-8")
    json.dumps(problem.as_dict())


FUZZED = settings(max_examples=5000, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@FUZZED
@given(CHANGES)
def test_a_spec_that_was_changed_anywhere(changes: list[tuple[tuple[str, ...], bool, str, Any]]) -> None:
    check_all(mutated(changes))


@FUZZED
@given(JSON | JSON.map(lambda value: {"run": value}))
def test_any_json_at_all(values: Any) -> None:
    check_all(values)


@pytest.mark.parametrize(
    "value",
    [10**5000, json.loads("[" * 900 + "]" * 900), float("nan"), {"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}, "\udfff"],
    ids=["a number of 5000 digits", "900 lists", "nan", "deep", "half a pair"],
)
@pytest.mark.parametrize("path", [("run",), ("run", "training", "epochs"), ("methods",), ("run", "data", "source")])
def test_values_that_python_cannot_write(path: tuple[str, ...], value: Any) -> None:
    check_all(mutated([(path, False, "", value)]))
    check_all(mutated([(path, True, "\ud800", value)]))
