"""Addresses that reopen a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import gradio as gr
from pydantic import TypeAdapter, ValidationError

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


def linked(given: Mapping[str, str], name: str, kind: Any, default: T) -> T:
    """A parameter of the page's address as `kind`; when it is no such thing the page says so and takes `default`."""
    if name not in given:
        return default
    try:
        return cast(T, TypeAdapter(kind).validate_python(given[name]))
    except ValidationError:
        # The value itself is left out: this text becomes part of the page as HTML.
        gr.Warning(f"The link's {name} cannot be used. It is {default} instead.")
        return default


def parameters(request: gr.Request) -> dict[str, str]:
    """The parameters of the page's own address."""
    return dict(request.query_params)
