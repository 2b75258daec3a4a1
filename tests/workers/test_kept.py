"""Jobs of the page services."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from workers.fairness.requester import STUDIO, Requester
from workers.kept import Jobs


@dataclass
class Wait:
    id: str
    by: Requester = STUDIO
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        return self.done.is_set()

    def withdraw(self) -> None:
        self.done.set()


def test_a_job_that_no_thread_begins_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    jobs: Jobs[Wait] = Jobs("waits", "wait", at_once=1, most=1, most_own=1, remembered=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError):
            jobs.begin("a", lambda: None, lambda: Wait("a"), lambda job: job.done.set())
    begun = jobs.begin("a", lambda: None, lambda: Wait("a"), lambda job: job.done.set())
    assert begun.done.wait(60)
    jobs.close()
