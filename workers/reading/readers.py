"""The processes that read files for a studio: one that waits for the next file, and another while that one reads."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from gift_core.data.unpacked import TooMuchUnpackedError
from workers.children.child import Child
from workers.children.faults import Failed, OutOfMemory, Refused, refusal
from workers.health.probe import NotReadyError
from workers.reading.documents import Answer, Bounds, Found, Hindered, Reply, Request, Task

logger = logging.getLogger(__name__)

# Files that are read at once. Others wait: each may take gigabytes.
AT_ONCE = 2
_MODULE = "workers.reading.process"
_FIELD = "data.source.dataset"
_REMEDY = "Upload fewer rows, only the columns that are learned from, or another format such as JSONL."


class Readers:
    """Reads files in other processes, within `bounds`; safe in threads. `environment` is all that these see of it."""

    def __init__(self, bounds: Bounds, environment: Callable[[], Mapping[str, str]]) -> None:
        self._bounds = bounds
        self._environment = environment
        # Of its own: what waits here would otherwise take a thread from requests that wait for nothing.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reading")
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []
        self._busy: set[_Reader] = set()
        self._is_closed = False

    def warm(self) -> None:
        """Start the first process, so that the first file does not wait for it."""
        with suppress(RuntimeError):
            # Closed already, or the interpreter is.
            self._threads.submit(lambda: self._put_back(self._taken()))

    async def read_async(self, path: Path, task: Task) -> Found:
        """Do the task for a file. Raises the `GiftError` that doing it in this process would raise.

        One that takes too much memory or time is a `DataError` about the file.
        """
        return await asyncio.wrap_future(self._threads.submit(self._read, path, task))

    def read(self, path: Path, task: Task) -> Found:
        """The same, for a thread that may wait."""
        return self._threads.submit(self._read, path, task).result()

    def close(self) -> None:
        """End the processes; what they are reading is refused."""
        with self._lock:
            self._is_closed = True
            readers = [*self._idle, *self._busy]
            self._idle.clear()
        for reader in readers:
            reader.end()
        self._threads.shutdown()

    def _read(self, path: Path, task: Task) -> Found:
        reader = self._taken()
        try:
            answer = reader.ask(Request(path=path, task=task, bounds=self._bounds))
        finally:
            self._put_back(reader)
        return _found(answer)

    def _taken(self) -> _Reader:
        with self._lock:
            while self._idle:
                reader = self._idle.pop()
                if reader.is_usable:
                    self._busy.add(reader)
                    return reader
                reader.end()
        reader = _Reader(self._environment())
        with self._lock:
            self._busy.add(reader)
            is_closed = self._is_closed
        if is_closed:
            reader.end()
        return reader

    def _put_back(self, reader: _Reader) -> None:
        """Keep a process for the next file, or another in place of one that has ended."""
        with self._lock:
            self._busy.discard(reader)
            is_wanted = not self._idle and not self._is_closed
            is_kept = is_wanted and reader.is_usable
            # A machine that lets no process begin now is met by the next file, not by the one that was read.
            with suppress(OSError):
                if is_wanted:
                    self._idle.append(reader if is_kept else _Reader(self._environment()))
        if not is_kept:
            reader.end()


class _Reader:
    """One process, which ends with this object or with the program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._child = Child(_MODULE, environment)
        self.end = self._child.end
        self._is_ready = self._is_last = False

    @property
    def is_usable(self) -> bool:
        """Whether it may be asked again: it has not ended, and has not said that it is about to."""
        return not self._is_last and not self._child.has_ended

    def ask(self, request: Request) -> Answer | str:
        """Return the answer, or how the process ended before it gave one."""
        slow = threading.Event()

        def give_up() -> None:
            slow.set()
            self._child.kill()

        timer = threading.Timer(request.bounds.wall_seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            line = self._line_for(request)
        finally:
            timer.cancel()
        if line.endswith("\n"):
            reply = Reply.model_validate_json(line)
            self._is_last = reply.is_last
            return reply.answer
        self._is_last = True
        code = self._child.exit_code()
        return "too slow" if slow.is_set() or code == -signal.SIGXCPU else f"code {code}"

    def _line_for(self, request: Request) -> str:
        with suppress(BrokenPipeError):
            if not self._is_ready:
                self._is_ready = bool(self._child.read())
                if not self._is_ready:
                    # It has not seen the file yet.
                    self._is_last = True
                    raise NotReadyError(
                        "The process that reads files does not start.",
                        remedy="Look at the memory and the limits of the studio's machine; then try again.",
                    )
            self._child.write(request.model_dump_json())
            return self._child.read()
        return ""


def _found(answer: Answer | str) -> Found:
    match answer:
        case Found():
            return answer
        case Refused():
            raise refusal(answer)
        case Hindered():
            raise OSError(answer.number, os.strerror(answer.number))
        case Failed():
            raise RuntimeError(f"A file could not be read:\n{answer.traceback}")
        case OutOfMemory():
            raise TooMuchUnpackedError("Reading the file takes more memory than it may.", field=_FIELD, remedy=_REMEDY)
        case "too slow":
            raise TooMuchUnpackedError("Reading the file takes longer than it may.", field=_FIELD, remedy=_REMEDY)
    logger.error("a process that read a file ended with %s", answer)
    raise TooMuchUnpackedError(
        "The process that read the file ended before it had read it, most likely for lack of memory.",
        field=_FIELD,
        remedy=_REMEDY,
    )
