"""The process that checks: `python -m workers.checking.process`, started by `workers.checking.checker`.

Reads messages as lines of JSON and answers each question with a line, several at once as a server does. It ends when
its input does.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from workers.checking.answering import answer_to, import_everything, rehearse
from workers.checking.documents import Answer, Ask, Drop, Message, Passed, Reply
from workers.checking.lines import of_line, to_line
from workers.children.faults import fault_of

# Given where no question waits: the imports leave the processor to others.
AHEAD = "--ahead"
_NICER = 5
# Between 0 and 1000: the kernel ends this process before the server where memory runs out.
_OOM_SCORE = "800"


def main() -> NoReturn:
    # What a library or a program that it starts prints is no answer.
    replies = _Replies(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Linux only.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, "ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    desk = _Desk(replies.write)
    threading.Thread(target=_start, args=(desk, replies, AHEAD in sys.argv), daemon=True).start()
    for line in sys.stdin:
        desk.take(of_line(Message, line))
    # What is still computed is for nobody; the interpreter's own end would wait for it.
    os._exit(0)


def _start(desk: _Desk, replies: _Replies, is_ahead: bool) -> None:
    # On Linux, niceness is a thread's own: the answers are not given at this one.
    if is_ahead and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)
    try:
        import_everything()
        rehearse()
    except Exception as error:
        replies.write(Reply(number=0, answer=fault_of(error)))
        os._exit(1)
    replies.write(Reply(number=0, answer=Passed()))
    desk.has_started.set()


class _Desk:
    """Answers each question in a thread of its own, once everything is imported."""

    def __init__(self, reply: Callable[[Reply], None]) -> None:
        self._reply = reply
        self._dropped: dict[int, threading.Event] = {}
        self.has_started = threading.Event()

    def take(self, message: Message) -> None:
        """Begin to answer a question, or end the answer to an earlier one. Called from one thread."""
        match message.body:
            case Ask() as ask:
                self._dropped[ask.number] = threading.Event()
                threading.Thread(target=self._answer, args=(ask,), daemon=True).start()
            case Drop(number=number):
                # It may be answered by now.
                if dropped := self._dropped.get(number):
                    dropped.set()

    def _answer(self, ask: Ask) -> None:
        self.has_started.wait()
        dropped = self._dropped[ask.number]
        answer: Answer = answer_to(ask.question, lambda: not dropped.is_set())
        del self._dropped[ask.number]
        self._reply(Reply(number=ask.number, answer=answer))


class _Replies:
    """The pipe to the server, for several threads."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, reply: Reply) -> None:
        line = to_line(reply) + "\n"
        with self._lock:
            self._pipe.write(line)
            self._pipe.flush()


if __name__ == "__main__":
    main()
