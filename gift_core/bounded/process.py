"""Questions to a process that may be ended by what it is asked, and is then started again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Process = subprocess.Popen[str]


class BoundedProcess:
    """Asks a worker one question after another; safe in threads.

    `worker` is a file of Python. It writes a line when it is ready, and then a line for each line of JSON that it
    reads. It sets its own limits, see `limits`. It is started at the first question, and again after one that took it
    down.
    """

    def __init__(self, worker: Path) -> None:
        # By its file and without that folder on the path: modules there must not hide those of other packages.
        self._command = (sys.executable, "-P", str(worker))
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._end: Callable[[], object] = lambda: None

    def ask(self, question: Any) -> str:
        """The line that answers; "" when the process died over the question. Raises `OSError` if it does not start."""
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start()
            line = ""
            try:
                line = _ask(process, question)
            finally:
                # Also where it was interrupted: its next answer would be to this question.
                if not line:
                    self._process = None
                    self._end()
            return line

    def _start(self) -> Process:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # An interrupt from the keyboard is for the program; the process ends when its input is closed.
            start_new_session=True,
        )
        # With this object, or with the program.
        self._end = weakref.finalize(self, _end, process)
        if not _line(process):
            self._end()
            raise OSError(f"{Path(self._command[-1]).name} does not start")
        self._process = process
        return process


def _end(process: Process) -> None:
    process.kill()
    # Closes its pipes as well, and leaves no zombie.
    with suppress(BrokenPipeError):
        process.communicate()


def _ask(process: Process, question: Any) -> str:
    assert process.stdin
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return _line(process)


def _line(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline()
