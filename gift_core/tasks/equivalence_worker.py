"""The process in which math-verify compares answers: what runs too long or too large ends with it.

Reads a line of JSON, `[reference, answer]`, and writes a line, true or false. It is started by `equivalence` as a file
of its own, so that it imports little else. A comparison that exceeds its time is killed by the kernel, in whatever
loop of C it hangs: a power such as 9^(9^9) never comes back to Python.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Last, so that it hides nothing: the package is found also where it is not installed.
sys.path.append(str(Path(__file__).parents[2]))

from gift_core.bounded.limits import limit_memory, limit_time

# Of 500 reference answers the slowest takes 0.13 s.
CPU_SECONDS = 2.0
# Of the clock, in case it waits rather than computes; a busy machine must not change a verdict.
WALL_SECONDS = 60
MEMORY_BYTES = 2 * 2**30


def main() -> None:
    reply, sys.stdout = sys.stdout, sys.stderr
    limit_memory(MEMORY_BYTES)
    from math_verify import LatexExtractionConfig, parse, verify

    # Only LaTeX is read: the reader of plain expressions goes through Python's eval.
    config = [LatexExtractionConfig()]

    def read(answer: str) -> list[object]:
        return parse(rf"\boxed{{{answer}}}", config, parsing_timeout=None)

    def write(value: object) -> None:
        print(json.dumps(value), file=reply, flush=True)

    write("ready")
    for line in sys.stdin:
        limit_time(CPU_SECONDS, WALL_SECONDS)
        reference, answer = json.loads(line)
        write(bool(verify(read(reference), read(answer), timeout_seconds=None)))
        limit_time(0, 0)


if __name__ == "__main__":
    main()
