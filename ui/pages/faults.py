"""What a visitor is told when a handler of a page fails: words, with the details in the server's log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import gradio as gr
from gradio import queueing, utils

from gift_core.errors import GiftError, Problem
from ui.components import is_problem_box
from ui.connection import StudioError
from ui.pages.problems import problems_of

logger = logging.getLogger(__name__)

_NOT_DONE = "That was not done"
_UNFORESEEN = Problem(
    "Something went wrong on the server.",
    remedy="Try again, or reload the page. The server's log has the details.",
)
# Gradio's own words are of Python's types and lists.
_NOT_OFFERED = "is not in the list of choices"
_STALE = Problem("What is chosen here is not offered any more.", remedy="Reload the page, and choose again.")


def guard(demo: gr.Blocks) -> None:
    """Have every handler of the pages say in words that it failed, in the page's box of problems where it sets one."""
    for event in demo.fns.values():
        if event.fn is not None:
            event.fn = _guarded(event.fn, event.outputs)


def _guarded(handler: Callable[..., Any], outputs: Sequence[Any]) -> Callable[..., Any]:
    box = next((part for part in outputs if is_problem_box(part)), None)

    @wraps(handler)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except gr.Error:
            raise
        except (StudioError, GiftError) as error:
            problems: Sequence[Problem] = error.problems
        except Exception:
            logger.exception("A handler of a page failed.")
            problems = [_UNFORESEEN]
        if box is None:
            raise gr.Error("\n".join(map(str, problems)), duration=None, print_exception=False)
        return {box: problems_of(_NOT_DONE, *problems)}

    # Gradio looks at these for what it is to pass on; a `partial` has none of its own.
    run.__annotations__ = getattr(handler, "__annotations__", {})
    return run


def put_faults_in_words() -> None:
    """Say in words what fails before or after a handler, where Gradio would show the text of the exception.

    Gradio has no setting for this: both ways in which an event is answered make the answer with this one function.
    """
    for module in (utils, queueing):
        module.error_payload = _payload


def _payload(error: BaseException | None, _: bool) -> dict[str, Any]:
    if isinstance(error, gr.Error) and _NOT_OFFERED not in str(error.message):
        return {"error": error.message, "duration": error.duration, "visible": error.visible, "title": error.title}
    problem = _STALE if isinstance(error, gr.Error) else _UNFORESEEN
    return {"error": str(problem), "visible": True, "duration": None, "title": _NOT_DONE}
