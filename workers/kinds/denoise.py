"""Responding to many prompts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gift_core.errors import StoppedError
from gift_core.evaluation import check_lengths, generate
from gift_core.files import write_whole
from gift_core.reporting import Line
from gift_core.tasks.items import Item
from workers.context import JobContext
from workers.kinds import RESPONSES
from workers.orders import DenoiseOrder

_BATCH = 16


def run(order: DenoiseOrder, context: JobContext) -> dict[str, Any]:
    """Append a line for each prompt to the file of responses; those that are there already are not made again."""
    model = context.model(order.checkpoint)
    items = [Item(id=str(number), prompt=prompt, expected="") for number, prompt in enumerate(order.prompts)]
    check_lengths(model, items, order.sampling.length)
    path = context.directory / RESPONSES
    done = {line["prompt"] for line in whole_lines(path)}
    missing = [item for item in items if int(item.id) not in done]
    started, before = time.perf_counter(), len(done)

    def report() -> None:
        made = len(done) - before
        left = (time.perf_counter() - started) / made * (len(items) - len(done)) if made else None
        line: Line = {"step": len(done), "total_steps": len(items), "eta_seconds": left, "values": {}}
        context.report(line | {"time": time.time(), "phase": "denoising"})

    def after_step() -> None:
        if context.stop():
            raise StoppedError("Stopped by request.")

    report()
    with path.open("a", encoding="utf-8") as file:
        for part in generate(model, missing, order.sampling, order.seed, _BATCH, after_step):
            for each in part:
                number = int(each.item)
                line = {"prompt": number, "text": each.response, "tokens": each.tokens, "ended": each.ended}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                done.add(number)
            file.flush()
            report()
    return {"responses": len(done)}


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the file; what a crash left of its last one is cut off."""
    if not path.exists():
        return
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        write_whole(path, whole)
    for line in whole.splitlines():
        yield json.loads(line)
