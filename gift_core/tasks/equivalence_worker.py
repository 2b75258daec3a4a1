"""The process in which math-verify compares answers: what runs too long or too large ends with it.

Reads a line of JSON, `[reference, answer]`, and writes a line, true or false. It is started by `equivalence` as a file
of its own, so that it imports nothing else. A comparison that exceeds its time is killed by the kernel, in whatever
loop of C it hangs: a power such as 9^(9^9) never comes back to Python.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from contextlib import suppress

# Of 500 reference answers the slowest takes 0.13 s.
CPU_SECONDS = 2.0
# Of the clock, in case it waits rather than computes; a busy machine must not change a verdict.
WALL_SECONDS = 60
MEMORY_BYTES = 2 * 2**30


def main() -> None:
    reply, sys.stdout = sys.stdout, sys.stderr
    _limit_memory()
    from math_verify import LatexExtractionConfig, parse, verify

    # Only LaTeX is read: the reader of plain expressions goes through Python's eval.
    config = [LatexExtractionConfig()]

    def read(answer: str) -> list[object]:
        return parse(rf"\boxed{{{answer}}}", config, parsing_timeout=None)

    def write(value: object) -> None:
        print(json.dumps(value), file=reply, flush=True)

    write("ready")
    for line in sys.stdin:
        _limit_time(CPU_SECONDS, WALL_SECONDS)
        reference, answer = json.loads(line)
        write(bool(verify(read(reference), read(answer), timeout_seconds=None)))
        _limit_time(0, 0)


def _limit_memory() -> None:
    # Some systems know no such limit; the time is limited all the same.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(cpu_seconds: float, wall_seconds: int) -> None:
    """What these signals do unless caught is to end the process."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.alarm(wall_seconds)


if __name__ == "__main__":
    main()
