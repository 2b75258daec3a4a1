"""Follows the metrics file that a training process appends to."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, FiniteFloat, ValidationError

logger = logging.getLogger(__name__)


class MetricLine(BaseModel):
    """One line of `metrics.jsonl`: a logged step, or with empty `values` a change of phase."""

    number: int = 0
    step: int
    time: FiniteFloat
    phase: str = ""
    total_steps: int | None = None
    eta_seconds: FiniteFloat | None = None
    values: dict[str, FiniteFloat] = {}


class MetricsTail:
    """Reads what was appended since the last read; a line still being written waits for the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._number = 0

    def read(self) -> list[MetricLine]:
        """The new complete lines, numbered from 1. One that cannot be read is logged and left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                appended = file.read()
        except FileNotFoundError:
            return []
        complete = appended[: appended.rfind(b"\n") + 1]
        self._offset += len(complete)
        lines = []
        for text in complete.splitlines():
            self._number += 1
            try:
                lines.append(MetricLine.model_validate_json(text).model_copy(update={"number": self._number}))
            except ValidationError:
                logger.warning("%s: line %d is not a metric line", self._path, self._number)
        return lines
