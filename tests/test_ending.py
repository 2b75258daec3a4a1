"""A studio that is asked to end before it has begun, as the first process of a container too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.services import wait_until
from tests.test_starting import ROOT, environment, running

# What the kernel does with signals to the first process of a container: those without a handler are dropped.
_AS_FIRST = "import os, signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])"
_LATER = (0.0, 0.2, 1.0, 3.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", _LATER)
def test_a_start_ends_when_it_is_asked_to(tmp_path: Path, seconds: float, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _AS_FIRST, sys.executable, str(ROOT / "app.py")],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as studio:
        wait_until(lambda: _handles(studio.pid), lambda: f"it has no handler ({studio.poll()})")
        threading.Event().wait(seconds)
        studio.send_signal(number)
        _, said = studio.communicate(timeout=90)
    assert (studio.returncode, "Traceback" in said) == (0, False), said


def test_a_signal_that_came_before_python_is_not_lost(tmp_path: Path) -> None:
    """Blocked, as the image starts it: then the kernel keeps it for the first process too."""
    blocked = {signal.SIGTERM, signal.SIGINT}

    def send_to_itself() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        os.kill(os.getpid(), signal.SIGTERM)

    ended = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env=environment(tmp_path),
        preexec_fn=send_to_itself,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_running_studio_ends_with_status_0_and_leaves_no_folder(tmp_path: Path) -> None:
    backend = environment(tmp_path)
    url = f"http://127.0.0.1:{backend['GIFT_PORT']}"
    places = tmp_path / "places"
    places.mkdir()
    with running(backend, url, tmp_path) as studio:
        pages = environment(tmp_path, GIFT_API_URL=url, TMPDIR=str(places))
        with running(pages, f"http://127.0.0.1:{pages['GIFT_PORT']}", tmp_path) as front:
            assert [path.name for path in places.glob("gift-pages-*")]
        assert front.returncode == 0
        assert not list(places.glob("gift-pages-*"))
    assert studio.returncode == 0


def _handles(pid: int) -> bool:
    """Whether a process has handlers of its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    # Python catches SIGINT from its start on: SIGTERM says that both are handled.
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
