"""The process in which files are read: `python -m workers.reading.process`, started by `workers.reading.readers`.

Reads requests as lines of JSON and answers each with a line. What takes too much memory fails in here; what takes too
long is killed by the kernel. The process ends when its input does, or once a file has left it large.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pyarrow.compute
import pyarrow.parquet  # noqa: F401 - loaded before the first request, like everything else that reading needs

from gift_core.data.checking import all_problems, summary_of, write_problems
from gift_core.data.files import read_rows
from gift_core.data.hub import join_parts
from gift_core.errors import GiftError
from gift_core.tasks.items import FileItems
from gift_core.tasks.registry import EVALUATION_TASKS
from workers.children.faults import Failed, OutOfMemory, Refused
from workers.health.faults import os_error_of_machine
from workers.reading.documents import (
    Answer,
    Bounds,
    Found,
    Hindered,
    JoinParts,
    ListProblems,
    ReadItems,
    Reply,
    Request,
)

READY = "ready\n"
# Python gives memory back in part only: a process that has grown to this is replaced by a new one.
_LARGE_BYTES = 512 * 2**20
# The list of all problems of a file takes more room than the file.
_MOST_WRITTEN = 2**30
# Between 0 and 1000: the kernel ends this process before the server, should the machine have less than the limit.
_OOM_SCORE = "800"


def main() -> None:
    # What a library prints is no answer.
    replies, sys.stdout = sys.stdout, sys.stderr
    # Linux only.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, "ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _write(replies, READY)
    for line in sys.stdin:
        request = Request.model_validate_json(line)
        _limit(request.bounds)
        answer = _answered(request)
        reply = Reply(answer=answer, is_last=_is_large() or isinstance(answer, Failed))
        _write(replies, reply.model_dump_json() + "\n")
        if reply.is_last:
            return


def _answered(request: Request) -> Answer:
    try:
        return _read(request)
    except MemoryError:
        # What was read is gone with the frames that held it.
        return OutOfMemory()
    except Exception as error:
        # First: what reads a file says of each error that the file cannot be read.
        fault = os_error_of_machine(error, request.path.parent)
        if fault is not None and fault.errno is not None:
            return Hindered(number=fault.errno)
        if isinstance(error, GiftError):
            return Refused(code=error.code, problems=error.problems)
        return Failed(traceback=traceback.format_exc())


def _read(request: Request) -> Found:
    path, task, most = request.path, request.task, request.bounds.unpacked
    if isinstance(task, ListProblems):
        with task.into.open("w", encoding="utf-8", newline="") as file:
            write_problems(file, all_problems([path], task.mapping, most))
        return Found()
    if isinstance(task, JoinParts):
        return Found(is_whole=join_parts([path, *task.others], task.into, task.most_bytes, most))
    if isinstance(task, ReadItems):
        # Counted by itself first: a task reads its items without knowing of a server's limit.
        for _ in read_rows(path, "data.source.dataset", most):
            pass
        return Found(rows=len(EVALUATION_TASKS[task.task].items(FileItems(path=path))))
    summary = summary_of([path], task.mapping, task.shown, needs_layout=False, most_bytes=most)
    return Found(rows=summary.rows, summary=summary)


def _limit(bounds: Bounds) -> None:
    """Bound what the next request takes: a processor's time counts from the start of the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {
        resource.RLIMIT_CPU: math.ceil(used.ru_utime + used.ru_stime) + bounds.cpu_seconds,
        # Not the address space, most of which libraries only reserve.
        resource.RLIMIT_DATA: bounds.memory,
        resource.RLIMIT_FSIZE: _MOST_WRITTEN,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        # Some systems do not know each of them; the clock is watched from outside all the same.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _is_large() -> bool:
    # Not the largest size so far: that begins with the size of the server, which this process was made from.
    with suppress(OSError):
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
        return int(pages) * resource.getpagesize() > _LARGE_BYTES
    return False


def _write(replies: TextIO, line: str) -> None:
    replies.write(line)
    replies.flush()


if __name__ == "__main__":
    # Everything a request makes is small, or goes with its answer; the interpreter's own end would take longer.
    main()
    os._exit(0)
