"""Queue: what the studio computes, in which order, and on what."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.client import StudioClient
from ui.components import data_of, view
from ui.connection import StudioError
from ui.pages.problems import refusal

# As the browser reaches it from this page.
_API = "api/v1"


class QueuePage:
    """`/queue`."""

    def __init__(self, demo: gr.Blocks, client: StudioClient) -> None:
        self._client = client
        problems = view("problems", "queue-problems")
        board = view("queue", "queue")
        # Answered at once, and so without the queue, for whose answers a tab holds a connection open.
        options: dict[str, Any] = {"api_visibility": "private", "queue": False}
        demo.load(lambda: data_of({"api": _API}), None, board, **options)
        board.submit(self._act, None, problems, trigger_mode="multiple", **options)

    def _act(self, event: gr.EventData) -> str:
        data: dict[str, Any] = event._data or {}
        try:
            act_on(self._client, str(data.get("name")), str(data.get("job")))
        except StudioError as error:
            return refusal("That was not done", error)
        return ""


def act_on(client: StudioClient, name: str, job: str) -> None:
    """What a press on a job's button asks for; a name that no button has does nothing. Raises `StudioError`."""
    match name:
        case "stop":
            client.stop_job(job)
        case "discard":
            client.stop_job(job, "discard")
        case "resume":
            client.resume_job(job)
        case "retry":
            client.retry_job(job)
        case "undo":
            client.undo_job(job)
        case "first":
            client.change_job(job, first=True)
        case "later":
            client.change_job(job, last=True)
        case "pause":
            client.pause_queue()
        case "go_on":
            client.resume_queue()
