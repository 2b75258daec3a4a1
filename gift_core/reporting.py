"""The one channel through which a run reports: append-only lines of JSON that anyone may follow."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from gift_core.files import write_whole

Phase = Literal["loading", "probing", "training", "saving", "evaluating"]

# What a run leaves in its directory.
SPEC_FILE = "spec.yaml"
METRICS_FILE = "metrics.jsonl"
RESULT_FILE = "result.json"
# Of a base that was made from nothing, in place of a result.
RECORD_FILE = "record.json"
CHECKPOINT = "checkpoint"
# What it resumes from, while it has not finished.
TRAINER_DIRECTORY = "trainer"
# In that folder: what the run is made from besides its spec.
INPUTS_FILE = "inputs.json"


Line = dict[str, Any]


class Reporter:
    """Appends one line per logged step or change of phase to `metrics.jsonl`, and tells `listener` the same.

    Without a directory it says nothing: of several processes, only the first reports.
    """

    def __init__(self, directory: Path | None, listener: Callable[[Line], None] | None = None) -> None:
        self._file = (directory / METRICS_FILE).open("a", encoding="utf-8") if directory else None
        self._listener = listener

    def report(
        self,
        step: int,
        phase: Phase,
        values: dict[str, float] | None = None,
        *,
        total_steps: int | None = None,
        eta_seconds: float | None = None,
    ) -> None:
        """Write one line; values that are not finite are left out, since JSON has no word for them."""
        if self._file is None:
            return
        line: Line = {
            "step": step,
            "time": time.time(),
            "phase": phase,
            "total_steps": total_steps,
            "eta_seconds": eta_seconds,
            "values": {name: rounded(value) for name, value in (values or {}).items() if math.isfinite(value)},
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._listener:
            self._listener(line)

    def close(self) -> None:
        if self._file:
            self._file.close()


def rounded(value: float) -> float:
    """As it is reported: seven digits are more than a chart or a comparison can use, and half as long as all."""
    return float(f"{value:.7g}")


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text so that a reader sees the old file or the new one: see `write_whole`."""
    write_whole(path, text.encode("utf-8"), durable=durable)
