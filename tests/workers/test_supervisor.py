"""Whatever the training process does, its run ends with a cause, and nothing of it survives."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from workers.records import Run, RunState
from workers.store import RunStore
from workers.supervisor import Supervisor


def failure_of(run: Run) -> dict[str, str]:
    assert run.failure is not None
    return run.failure


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Background:
    """A supervisor at work on a run in its own thread."""

    def __init__(self, supervisor: Supervisor, run_id: str) -> None:
        self._thread = threading.Thread(target=supervisor.execute, args=(run_id,))
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


def test_a_finished_run_has_its_result_log_spec_and_metrics(store, run_ids, make_supervisor, tmp_path: Path) -> None:
    make_supervisor("print('hello'); report(1, loss=2.0); report(2, loss=1.0); finish()").execute(run_ids[0])
    run = store.run(run_ids[0])
    assert run.state == RunState.FINISHED
    assert run.result == {"seconds": 1.0, "final_loss": 0.5}
    assert (run.step, run.phase, run.failure, run.process_id) == (2, "", None, None)
    assert [point.values["loss"] for point in store.metrics([run.id], after=0)] == [2.0, 1.0]
    directory = tmp_path / "runs" / run.id
    assert (directory / "train.log").read_text() == "hello\n"
    assert "method: sft" in (directory / "spec.yaml").read_text()


def test_progress_shows_while_it_trains(store, run_ids, make_supervisor, until) -> None:
    work = Background(make_supervisor("report(1, loss=2.0)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.run(run_ids[0]).step == 1)
    assert store.run(run_ids[0]).phase == "training"
    store.request_stop(run_ids[0], "user")
    work.join()


def test_a_typed_failure_reaches_the_user(store, run_ids, make_supervisor) -> None:
    cause = {"code": "data", "message": "Row 3 is empty.", "field": "row 3", "remedy": "Fill it."}
    program = f"(directory / 'failure.json').write_text({json.dumps(json.dumps(cause))}); sys.exit(1)"
    make_supervisor(program).execute(run_ids[0])
    run = store.run(run_ids[0])
    assert run.state == RunState.FAILED
    assert run.failure == cause


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("print('no such thing'); sys.exit(3)", "exit", "exit code 3: no such thing"),
        ("print('bye')", "exit", "without a result: bye"),
        ("(directory / 'failure.json').write_text('{\"code\"'); sys.exit(1)", "exit", "exit code 1"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "crashed", "signal 6 (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "killed by signal 9"),
    ],
)
def test_an_untyped_failure_is_explained(store, run_ids, make_supervisor, program, code, message) -> None:
    make_supervisor(program).execute(run_ids[0])
    run = store.run(run_ids[0])
    assert run.state == RunState.FAILED
    assert failure_of(run)["code"] == code
    assert message in failure_of(run)["message"]
    assert failure_of(run)["remedy"]


def test_a_killed_training_fails_and_keeps_its_log(store, run_ids, make_supervisor, tmp_path: Path, until) -> None:
    supervisor = make_supervisor("print('step 1', flush=True)\nreport(1, loss=2.0)\nwait_for_ever()")
    work = Background(supervisor, run_ids[0])
    until(lambda: store.run(run_ids[0]).step == 1)
    os.kill(store.run(run_ids[0]).process_id, signal.SIGKILL)
    work.join()
    run = store.run(run_ids[0])
    assert run.state == RunState.FAILED
    assert failure_of(run)["code"] == "killed"
    assert (tmp_path / "runs" / run.id / "train.log").read_text() == "step 1\n"
    assert len(store.metrics([run.id], after=0)) == 1


def test_a_stop_ends_the_run(store, run_ids, make_supervisor, until) -> None:
    work = Background(make_supervisor("report(1)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.run(run_ids[0]).step == 1)
    assert store.request_stop(run_ids[0], "user").state == RunState.STOPPING
    work.join()
    run = store.run(run_ids[0])
    assert run.state == RunState.STOPPED
    assert run.failure is None


def test_a_child_that_ignores_the_request_is_killed_with_its_children(
    store, run_ids, make_supervisor, until, tmp_path: Path
) -> None:
    program = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "grandchild").write_text(str(grandchild.pid))
report(1)
while True:
    signal.pause()
"""
    work = Background(make_supervisor(program, stop_grace_seconds=0.3), run_ids[0])
    until(lambda: store.run(run_ids[0]).step == 1)
    grandchild = int((tmp_path / "runs" / run_ids[0] / "grandchild").read_text())
    store.request_stop(run_ids[0], "user")
    work.join()
    assert store.run(run_ids[0]).state == RunState.STOPPED
    until(lambda: not alive(grandchild))


def test_children_left_behind_by_a_finished_training_are_killed(
    store, run_ids, make_supervisor, until, tmp_path: Path
) -> None:
    program = """
left = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "left").write_text(str(left.pid))
finish()
"""
    make_supervisor(program).execute(run_ids[0])
    assert store.run(run_ids[0]).state == RunState.FINISHED
    until(lambda: not alive(int((tmp_path / "runs" / run_ids[0] / "left").read_text())))


def test_a_worker_that_lost_its_lease_kills_the_training(store, run_ids, make_supervisor, until) -> None:
    work = Background(make_supervisor("report(1)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.run(run_ids[0]).step == 1)
    child = store.run(run_ids[0]).process_id
    store.expire_leases(float("inf"))
    work.join()
    assert not alive(child)
    assert store.run(run_ids[0]).state == RunState.INTERRUPTED
    assert failure_of(store.run(run_ids[0]))["code"] == "lost_worker"


def test_a_late_or_duplicate_message_does_nothing(store, run_ids, make_supervisor, tmp_path: Path) -> None:
    supervisor = make_supervisor("print('trained'); finish()")
    for run_id in [run_ids[0], run_ids[0], "run_unknown"]:
        supervisor.execute(run_id)
    assert (tmp_path / "runs" / run_ids[0] / "train.log").read_text() == "trained\n"
    assert [item.after for item in store.transitions(run_id=run_ids[0])] == ["queued", "running", "finished"]


def test_a_training_that_cannot_be_started_fails(store: RunStore, run_ids, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-program")
    Supervisor(store, tmp_path / "runs", lambda _: [missing], {}, lease_seconds=15).execute(run_ids[0])
    run = store.run(run_ids[0])
    assert run.state == RunState.FAILED
    assert failure_of(run)["code"] == "internal"


def test_credentials_do_not_reach_the_training(
    store, run_ids, make_supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GIFT_API_KEY", "LC_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    make_supervisor("print(json.dumps(dict(os.environ))); finish()").execute(run_ids[0])
    environment = json.loads((tmp_path / "runs" / run_ids[0] / "train.log").read_text())
    assert "s3cret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "PATH" in environment
