"""Addresses that reopen a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import gradio as gr
from pydantic import TypeAdapter, ValidationError

from gift_core.errors import Problem

T = TypeVar("T")

# The launch page's parameter: the id of the run or the experiment that its form is filled from.
FROM = "from"

# Puts the address of what is shown into the address bar, so that a reload or a copied link shows it again.
REMEMBER = "(address) => { if (address) history.replaceState(null, '', address); }"
GO = "(address) => { if (address) window.location.assign(address); }"


def address(page: str, **parameters: str | Sequence[str]) -> str:
    """A link to a page, relative to the studio's root; lists are joined by commas, empty parameters left out."""
    joined = {name: value if isinstance(value, str) else ",".join(value) for name, value in parameters.items()}
    given = {name: value for name, value in joined.items() if value}
    return f"{page}?{urlencode(given)}" if given else page


def linked(given: Mapping[str, str], name: str, kind: Any, default: T, problems: list[Problem]) -> T:
    """A parameter of the page's address as `kind`; where it is no such thing that is added to `problems`, and it is
    `default`."""
    if name not in given:
        return default
    try:
        return cast(T, TypeAdapter(kind).validate_python(given[name]))
    except ValidationError:
        problems.append(
            Problem(f"The link's {name} cannot be used: {given[name][:40]!r}.", name, f"It is {default} instead.")
        )
        return default


def identifiers(given: Mapping[str, str], name: str, most: int, problems: list[Problem]) -> list[str]:
    """The ids of a parameter that lists them with commas, once each; what is above `most` is added to `problems`."""
    found = list(dict.fromkeys(part for part in given.get(name, "").split(",") if part))
    if len(found) > most:
        problems.append(
            Problem(f"The link names {len(found)} {name}, and {most} fit.", name, f"The first {most} are here.")
        )
    return found[:most]


def parameters(request: gr.Request) -> dict[str, str]:
    """The parameters of the page's own address."""
    return dict(request.query_params)
