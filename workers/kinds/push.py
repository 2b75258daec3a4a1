"""Uploading a finished run to the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

from gift_core.credentials import hub_token
from gift_core.push import repository_name, upload
from workers.context import JobContext
from workers.kinds import EXPORTED
from workers.kinds.export import write
from workers.orders import PushOrder


def run(order: PushOrder, context: JobContext) -> dict[str, Any]:
    """Export, then upload as one commit. The token is in this process's environment and nowhere else."""
    repository = repository_name(order.repository)
    token = hub_token()
    written = write(order, context, location=repository)
    address = upload(context.directory / EXPORTED, repository, private=order.private, token=token)
    return written | {"commit": address}
