"""The wire between the front end and the backend: requests with somebody's credentials, refusals in words, streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from api.pages import Page
from api.schemas import ProblemDocument
from gift_core.errors import Problem

T = TypeVar("T")

_TIMEOUT = httpx.Timeout(30, connect=5)
# A first inspection loads the models, a long denoising computes for minutes on a CPU.
_COMPUTING = httpx.Timeout(600, connect=5)
# The server sends a comment every 15 s while nothing happens.
STREAMING = httpx.Timeout(30, connect=5)

# The most that every list gives at once.
_PAGE = 100


class StudioError(Exception):
    """What the backend refused to do, in its own words. `status` is 0 when there was no answer."""

    def __init__(self, problems: Sequence[Problem], status: int) -> None:
        self.problems = tuple(problems)
        self.status = status
        super().__init__("\n".join(str(problem) for problem in problems))


class Connection:
    """Connections to the backend at `base_url`. Every method that asks raises `StudioError`."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        credentials: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`credentials` gives, at each request, the headers that say who it is for."""
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        # trust_env=False: a proxy in the environment is for the internet, the backend is on this network.
        self._http = httpx.Client(
            base_url=f"{self._base_url}/api/v1", timeout=_TIMEOUT, transport=transport, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def acting_for(self, credentials: Mapping[str, str]) -> Self:
        """This connection, with the credentials of one visitor."""
        acting = copy(self)
        acting._credentials = lambda: credentials
        return acting

    def _pages(self, kind: type[T], path: str, limit: int | None, **parameters: Any) -> list[T]:
        """The first `limit` of a list, page by page."""
        found: list[T] = []
        cursor = None
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = self._get(Page[kind], path, limit=size, cursor=cursor, **parameters)  # type: ignore[valid-type]
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        return found

    def _get(self, kind: type[T], path: str, /, **parameters: Any) -> T:
        return self._request(kind, "GET", path, params=given(parameters))

    def _text(self, path: str, **parameters: Any) -> str:
        with self._answer("GET", path, params=parameters) as response:
            return response.read().decode()

    def _request(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        with self._answer(method, path, **options) as response:
            try:
                return TypeAdapter(kind).validate_json(response.read())
            except ValidationError as error:
                problem = Problem(
                    f"The backend at {self._base_url} answered {path} in a form this front end does not know.",
                    remedy="Run the same version of both.",
                )
                raise StudioError([problem], response.status_code) from error

    def _create(self, kind: type[T], path: str, body: object, key: str | None, **options: Any) -> T:
        """What a request makes, or has made where it was sent before with the same `key`."""
        return self._request(kind, "POST", path, json=body, headers=given({"Idempotency-Key": key}), **options)

    def _compute(self, kind: type[T], path: str, body: object, **options: Any) -> T:
        return self._request(kind, "POST", path, json=body, timeout=_COMPUTING, **options)

    @contextmanager
    def _answer(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A successful answer, not yet read."""
        headers = {**self._credentials(), **options.pop("headers", {})}
        try:
            with self._http.stream(method, path, headers=headers, **options) as response:
                if not response.is_success:
                    # A redirection as well: it is never followed, and says nothing about what was asked.
                    response.read()
                    raise StudioError(problems_of(response), response.status_code)
                yield response
        except httpx.TimeoutException as error:
            raise self._silence("takes too long to answer", "Try again; its log may say what it is doing.") from error
        except httpx.RequestError as error:
            raise self._silence(
                "does not answer", "Start it with `make run`, or correct GIFT_API_URL if it runs elsewhere."
            ) from error

    def _silence(self, what: str, remedy: str) -> StudioError:
        return StudioError([Problem(f"The backend at {self._base_url} {what}.", remedy=remedy)], status=0)


def problems_of(response: httpx.Response) -> list[Problem]:
    """What a refusal says, which has been read as a whole."""
    try:
        return ProblemDocument.model_validate_json(response.content).problems
    except ValidationError:
        # Something else answered, such as a proxy in between.
        return [Problem(f"{response.url} answered {response.status_code} {response.reason_phrase}.")]


def parse_events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The fields of each server-sent event, its data decoded."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield {**fields, "data": json.loads(fields["data"])}
            fields = {}


def part(identifier: str) -> str:
    """One part of a path: an id comes from a link, and must not turn into another address."""
    return quote(identifier, safe="")


def given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
