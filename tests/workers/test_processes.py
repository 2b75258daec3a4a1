"""All processes of an attempt are found, whatever their parent and their group, and nobody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.workers.conftest import Until
from tests.workers.test_supervisor import alive
from workers import processes
from workers.processes import kill_everything_of, mark, signal_everything_of
from workers.records import JobState

IDLE = "import signal\nwhile True: signal.pause()"
Start = Callable[[Path, int], subprocess.Popen[bytes]]


@pytest.fixture
def start(until: Until) -> Iterator[Start]:
    """Starts a process of an attempt at the job in a directory; killed after the test."""
    with ExitStack() as stack:

        def started(directory: Path, attempt: int) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, "-c", IDLE], env=mark(directory, attempt))
            stack.enter_context(process)
            stack.callback(process.send_signal, signal.SIGKILL)
            # For a moment, a process that begins another program has no environment.
            until(lambda: psutil.Process(process.pid).environ())
            return process

        yield started


def test_grandchildren_that_changed_their_group_are_found(store, run_ids, make_attempts, tmp_path: Path) -> None:
    program = f"""
left = subprocess.Popen([sys.executable, "-c", {IDLE!r}], start_new_session=True)
(directory / "left").write_text(str(left.pid))
finish()
"""
    make_attempts(program).execute(run_ids[0])
    assert store.job(run_ids[0]).state == JobState.FINISHED
    assert not alive(int((tmp_path / "runs" / run_ids[0] / "left").read_text())), "before the next job begins"


def test_only_the_attempts_asked_for_are_killed(tmp_path: Path, start: Start) -> None:
    mine, next_one, others = start(tmp_path / "run", 1), start(tmp_path / "run", 2), start(tmp_path / "other", 1)
    assert kill_everything_of(tmp_path / "run", range(2)) == 1
    assert mine.wait(timeout=20) == -signal.SIGKILL
    signal_everything_of(tmp_path / "run", 2, signal.SIGTERM)
    assert next_one.wait(timeout=20) == -signal.SIGTERM
    assert others.poll() is None


def test_a_process_that_does_not_go_away_is_named(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_GONE_SECONDS", 0.1)
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    stuck = start(tmp_path / "run", 1)
    with pytest.raises(TimeoutError, match=str(stuck.pid)):
        kill_everything_of(tmp_path / "run", (1,))
