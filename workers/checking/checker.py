"""Who answers the questions of a studio: a process beside it, or this one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol

from gift_core.errors import GiftError
from workers.checking.answering import answer_to
from workers.checking.documents import (
    Answer,
    Ask,
    Drop,
    Dropped,
    Message,
    Passed,
    Previewed,
    Question,
    Reply,
    Reported,
)
from workers.checking.lines import of_line, to_line
from workers.checking.process import AHEAD
from workers.children.child import Child
from workers.children.faults import Failed, Hindered, OutOfMemory, Refused, error_of
from workers.settings import Settings, job_environment

logger = logging.getLogger(__name__)

_MODULE = "workers.checking.process"
# Between two looks whether the answer is still wanted.
_LOOK_SECONDS = 0.1
# Importing torch takes seconds, and a minute where the machine has much else to do.
_START_SECONDS = 300.0
# The largest files take minutes.
_ANSWER_SECONDS = 1800.0

StillWanted = Callable[[], None]
Found = Passed | Previewed | Reported


class CheckingUnavailable(GiftError):  # noqa: N818
    """The process that checks does not start, or does not answer."""

    code = "checking_unavailable"
    headers: Mapping[str, str] = {"Retry-After": "10"}


class Checker(Protocol):
    """Answers questions; safe in threads."""

    def warm(self) -> None:
        """Prepare for the first question, in the background."""

    def ask(self, question: Question, still_wanted: StillWanted = ...) -> Found:
        """Return the answer. Raises what answering in this process would raise, and `CheckingUnavailable`.

        `still_wanted` is called now and then, and may raise to end the work.
        """

    def close(self) -> None:
        """End what runs for this."""


def _always() -> None:
    """Nobody goes away."""


class InThisProcess:
    """Answers here, through the same documents; imports torch for that."""

    def warm(self) -> None:
        """There is nothing to prepare."""

    def ask(self, question: Question, still_wanted: StillWanted = _always) -> Found:
        gone: list[BaseException] = []

        def is_wanted() -> bool:
            try:
                still_wanted()
            except BaseException as error:
                gone.append(error)
            return not gone

        asked = of_line(Message, to_line(Message(body=Ask(number=1, question=question)))).body
        assert isinstance(asked, Ask)
        answer = answer_to(asked.question, is_wanted)
        if gone:
            raise gone[0]
        return _found(of_line(Reply, to_line(Reply(number=1, answer=answer))).answer)

    def close(self) -> None:
        """Nothing was started."""


class Beside:
    """Answers in another process, which is started at `warm` or at the first question, and again once it has ended.

    `environment` is all that it sees of the server's. A question that met the end of the process is asked once more.
    """

    def __init__(self, environment: Callable[[], Mapping[str, str]], start_seconds: float = _START_SECONDS) -> None:
        self._environment = environment
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self._is_closed = False

    @classmethod
    def of(cls, settings: Settings) -> Beside:
        """One in the environment of a training, with the GPUs that the server sees."""
        visible = settings.cuda_visible_devices
        seen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        return cls(lambda: job_environment(settings.training_threads) | seen)

    def warm(self) -> None:
        try:
            self._current(ahead=True)
        except (OSError, CheckingUnavailable):
            # The first question tries again, and says why.
            logger.exception("the process that checks could not be started")

    def ask(self, question: Question, still_wanted: StillWanted = _always) -> Found:
        for _ in range(2):
            with suppress(_EndedError):
                return _found(self._current().ask(question, still_wanted))
        raise CheckingUnavailable(
            "The process that checks what is asked for has ended before it had answered.",
            remedy="Try again in a minute; if it stays so, see the server's log, and the memory of the machine.",
        )

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            helper = self._helper
        if helper:
            helper.end()

    @property
    def process_id(self) -> int | None:
        """Of the process, None before there is one."""
        return self._helper.process_id if self._helper else None

    def _current(self, *, ahead: bool = False) -> _Helper:
        with self._lock:
            if self._is_closed:
                raise CheckingUnavailable("The studio is shutting down.", remedy="Try again when it is back.")
            if self._helper is None or self._helper.has_ended:
                arguments = (AHEAD,) if ahead else ()
                self._helper = _Helper(Child(_MODULE, self._environment(), arguments), self._start_seconds)
            return self._helper


class _EndedError(Exception):
    """The process has ended before it had answered."""


class _Helper:
    """One process, and who waits for its answers."""

    def __init__(self, child: Child, start_seconds: float) -> None:
        self._child = child
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Answer]] = {}
        self._last = 0
        self._has_started = threading.Event()
        self._has_ended = threading.Event()
        threading.Thread(target=self._listen, name="checking", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        return self._has_ended.is_set() or self._child.has_ended

    @property
    def process_id(self) -> int:
        return self._child.id

    def ask(self, question: Question, still_wanted: StillWanted) -> Answer:
        number, answer = self._send(question)
        asked = time.monotonic()
        try:
            while True:
                with suppress(TimeoutError):
                    return answer.result(_LOOK_SECONDS)
                still_wanted()
                self._check_time(time.monotonic() - asked)
        except (_EndedError, CheckingUnavailable):
            raise
        except BaseException:
            self._drop(number)
            if self._has_started.is_set():
                # Its place in the line is given up when the work has ended.
                with suppress(_EndedError, TimeoutError):
                    answer.result(max(0.0, asked + _ANSWER_SECONDS - time.monotonic()))
            raise

    def end(self) -> None:
        """Kill the process; who waits for it is told."""
        self._child.kill()

    def _send(self, question: Question) -> tuple[int, Future[Answer]]:
        answer = Future[Answer]()
        with self._lock:
            if self._has_ended.is_set():
                raise _EndedError
            self._last += 1
            number = self._last
            self._waiting[number] = answer
        self._write(Message(body=Ask(number=number, question=question)))
        return number, answer

    def _drop(self, number: int) -> None:
        self._write(Message(body=Drop(number=number)))

    def _write(self, message: Message) -> None:
        line = to_line(message)
        # Where it has ended, the listener tells who waits.
        with self._lock, suppress(BrokenPipeError, ValueError):
            self._child.write(line)

    def _check_time(self, waited: float) -> None:
        """Raise `CheckingUnavailable` where a question has waited longer for the start, or the answer, than it may."""
        if waited < (_ANSWER_SECONDS if self._has_started.is_set() else self._start_seconds):
            return
        self.end()
        what = "takes longer than it may" if self._has_started.is_set() else "does not start"
        raise CheckingUnavailable(
            f"The process that checks what is asked for {what}.",
            remedy="Try again in a minute, when the machine has less to do.",
        )

    def _listen(self) -> None:
        """Hand out the answers until the process ends, and then tell who still waits."""
        try:
            while line := self._child.read():
                self._take(of_line(Reply, line))
        except Exception:
            logger.exception("the process that checks has written what cannot be read")
        with self._lock:
            self._has_ended.set()
            waiting = list(self._waiting.values())
            self._waiting.clear()
        self._child.end()
        for answer in waiting:
            answer.set_exception(_EndedError())

    def _take(self, reply: Reply) -> None:
        if reply.number == 0:
            if isinstance(reply.answer, Passed):
                self._has_started.set()
            else:
                logger.error("the process that checks does not start", exc_info=_error(reply.answer))
            return
        with self._lock:
            answer = self._waiting.pop(reply.number)
        answer.set_result(reply.answer)


def _error(answer: Answer) -> Exception:
    match answer:
        case Refused() | Failed() | Hindered() | OutOfMemory():
            return error_of(answer)
    return RuntimeError(f"no fault: {answer.kind}")


def _found(answer: Answer) -> Found:
    match answer:
        case Passed() | Previewed() | Reported():
            return answer
        case Dropped():
            raise RuntimeError("a question was dropped that was still wanted")
    raise error_of(answer)
