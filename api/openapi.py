"""The API's description: what FastAPI writes, with every error that a route's rule leads to, and examples of bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.errors import documented, problem_schemas
from api.examples import EXAMPLES
from api.permissions import Action

# Jobs are refused while there is no room for them.
_QUEUES = (Action.LAUNCH, Action.CHANGE)


class StudioApi(FastAPI):
    """An application with routes below `prefix`, whose description is complete."""

    def __init__(self, *, prefix: str, **options: Any) -> None:
        super().__init__(**options)
        self._prefix = prefix

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = self._described()
        return self.openapi_schema

    def _described(self) -> dict[str, Any]:
        schema = super().openapi()
        schema["components"]["schemas"].update(problem_schemas())
        for method, path, action in routes_with_actions(self):
            operation = schema["paths"].get(path, {}).get(method.lower())
            if operation is None or not path.startswith(self._prefix):
                continue
            for status, answer in documented(*_errors(operation, path, action)).items():
                operation["responses"].setdefault(str(status), answer)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                given = EXAMPLES.get(f"{method} {path.removeprefix(self._prefix)}", {})
                content["examples"] = {name: {"value": value} for name, value in given.items()}
        return schema


def routes_with_actions(app: FastAPI) -> Iterator[tuple[str, str, Action]]:
    """Method, path and action of every route that has one."""
    for route in iter_route_contexts(app.routes):
        for action in _actions(getattr(route, "dependant", None)):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, route.path or "", action


def _actions(dependant: Any) -> Iterator[Action]:
    for each in dependant.dependencies if dependant else ():
        if action := getattr(each.call, "action", None):
            yield action
        yield from _actions(each)


def _errors(operation: dict[str, Any], path: str, action: Action) -> set[int]:
    found: set[int] = set()
    if "requestBody" in operation:
        # What is no JSON, comes too slowly, or is too much.
        found |= {400, 408, 413}
    if "{" in path:
        found.add(404)
    if action in _QUEUES:
        found |= {409, 507}
    return found
