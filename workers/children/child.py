"""One process that the server has started: lines go in, lines come out, and it ends with the server."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# The packages lie here, whatever folder the server was started in.
_CODE = Path(__file__).resolve().parents[2]


class Child:
    """A module of Python as a process, `python -m module`, which ends with this object or with the program.

    `environment` is all that it sees of the server's.
    """

    def __init__(self, module: str, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=_CODE,
            env=environment,
            # An interrupt from the keyboard is for the server.
            start_new_session=True,
        )
        self.end = weakref.finalize(self, _end, self._process)

    @property
    def id(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill the process. What waits for a line of it is answered with an empty one."""
        self._process.kill()

    def exit_code(self) -> int:
        """Wait until the process has ended, and return its exit code; negative is the signal that ended it."""
        return self._process.wait()

    def write(self, line: str) -> None:
        """Send a line. Raises `BrokenPipeError` where the process has ended."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> str:
        """Wait for a line, and return it with its end; without one where the process has ended."""
        assert self._process.stdout
        return self._process.stdout.readline()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    # Closes its pipes as well, and leaves no zombie.
    with suppress(BrokenPipeError, ValueError):
        process.communicate()
