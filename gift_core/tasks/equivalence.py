"""Whether two mathematical answers are equal, by math-verify in a process that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gift_core.errors import GiftError

# By its file and without this folder on the path: modules here must not hide those of other packages.
_COMMAND = (sys.executable, "-P", str(Path(__file__).with_name("equivalence_worker.py")))

Process = subprocess.Popen[str]


class Equivalence:
    """Compares answers one by one; safe in threads.

    math-verify limits its own time with signals, which only a main thread can set, and which do not interrupt a long
    power. Its process is started at the first comparison and again after one that took it down.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._end: Callable[[], object] = lambda: None

    def equal(self, reference: str, answer: str) -> bool:
        """Whether math-verify finds them equal; a comparison beyond the limits of `equivalence_worker` is not.

        Raises `GiftError` when math-verify cannot be started.
        """
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start()
            line = ""
            try:
                line = _ask(process, [reference, answer])
            finally:
                # Also where it was interrupted: its next answer would be to this question.
                if not line:
                    self._process = None
                    self._end()
            return line == "true\n"

    def _start(self) -> Process:
        process = subprocess.Popen(
            _COMMAND,
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
            raise GiftError(
                "math-verify, which compares the answers of MATH-500, cannot be started.",
                remedy="Install it: pip install math-verify.",
            )
        self._process = process
        return process


def _end(process: Process) -> None:
    process.kill()
    # Closes its pipes as well, and leaves no zombie.
    with suppress(BrokenPipeError):
        process.communicate()


def _ask(process: Process, question: list[str]) -> str:
    """The line that answers; "" when the process died over the question."""
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
