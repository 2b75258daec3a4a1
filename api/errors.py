"""Every error leaves the API as `application/problem+json`, made here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.conditional import CACHE_CONTROL
from api.schemas import ProblemDocument
from gift_core.errors import GiftError, Problem, problems_in
from workers.disk import no_room
from workers.failures import is_want_of_room
from workers.health.faults import fault_of_machine

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "quota": 429,
    "too_many_requests": 429,
    "store_unavailable": 503,
    "queue_unavailable": 503,
    "artefacts_unavailable": 503,
    "not_ready": 503,
    "checking_unavailable": 503,
    "busy": 503,
    "disk_full": 507,
}
_CODES = {status: code for code, status in _STATUS.items()}
_TITLES = {
    "spec": "The settings cannot be used",
    "data": "The data cannot be used",
    "model": "The model cannot be used",
    "request": "The request cannot be understood",
    "unauthenticated": "Nobody is signed in",
    "forbidden": "This is not allowed",
    "quota": "The quota is used up",
    "too_many_requests": "There are too many requests",
    "busy": "The studio is busy",
    "checking_unavailable": "Nothing can be checked now",
    "store_unavailable": "The store cannot be reached",
    "queue_unavailable": "The queue cannot be reached",
    "artefacts_unavailable": "Files cannot be reached",
    "not_found": "There is no such thing",
    "conflict": "The request conflicts with what is there",
    "too_large": "The request is too large",
    "disk_full": "There is no room left",
    "not_ready": "The studio cannot carry out jobs",
    "internal": "Something went wrong on the server",
}


def problem_response(status: int, code: str, problems: Sequence[Problem]) -> JSONResponse:
    title = _TITLES.get(code, HTTPStatus(status).phrase)
    # Gradio's own script shows `detail` of what was refused.
    detail = "\n".join(map(str, problems))
    document = ProblemDocument(code=code, title=title, status=status, problems=list(problems), detail=detail)
    # Set here as well: the answer to an unexpected error is made outside of every middleware.
    headers = {"Cache-Control": CACHE_CONTROL}
    return JSONResponse(document.model_dump(mode="json"), status, headers, media_type=MEDIA_TYPE)


def _of_gift_error(_: Request, error: GiftError) -> JSONResponse:
    response = problem_response(_STATUS.get(error.code, 422), error.code, error.problems)
    # Such as when to try again.
    response.headers.update(getattr(error, "headers", {}))
    return response


def _of_invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    items = error.errors()
    if items[0]["type"] == "json_invalid":
        message = f"The body is not valid JSON: {items[0]['ctx']['error']}, character {items[0]['loc'][-1]}."
        return problem_response(400, "request", [Problem(message, remedy="Send a JSON document.")])
    # The first part of the path says where in the request the value was: body, query, path or header.
    return problem_response(422, "request", problems_in([{**item, "loc": item["loc"][1:]} for item in items]))


def _of_http_exception(_: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status, status.name.lower())
    response = problem_response(status, code, [Problem(f"{error.detail}.".replace("..", "."))])
    response.headers.update(error.headers or {})
    return response


def _of_disconnect(_: Request, __: ClientDisconnect) -> JSONResponse:
    # Nobody reads this; without it every upload that is broken off would be logged as a fault of the server.
    return problem_response(400, "request", [Problem("The connection was closed before the body was complete.")])


def _of_os_error(request: Request, error: OSError) -> JSONResponse:
    """Answer where the machine did not let the studio use its own files; nothing is wrong with the request."""
    data: Path = request.app.state.services.studio.data
    if is_want_of_room(error):
        return _of_gift_error(request, no_room())
    fault = fault_of_machine(error, data)
    if fault is None:
        raise error
    logger.error("The studio's files cannot be used: %s", error)
    problem = Problem(f"The studio cannot use its files: {fault}.", remedy="Try again when its machine is in order.")
    return problem_response(503, "not_ready", [problem])


def _of_unexpected(request: Request, _: Exception) -> JSONResponse:
    # The server logs the traceback, since Starlette raises the exception again after answering.
    problem = Problem("An unexpected error occurred.", remedy="The server's log has the details.")
    response = problem_response(500, "internal", [problem])
    response.headers["X-Request-ID"] = getattr(request.state, "request_id", "")
    return response


def add_error_handlers(app: FastAPI) -> None:
    handlers: dict[type[Exception], Any] = {
        GiftError: _of_gift_error,
        RequestValidationError: _of_invalid_request,
        HTTPException: _of_http_exception,
        ClientDisconnect: _of_disconnect,
        OSError: _of_os_error,
        Exception: _of_unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these error statuses."""
    schema = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem_schemas() -> dict[str, Any]:
    """The components that `documented` refers to."""
    _, definitions = models_json_schema(
        [(ProblemDocument, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
