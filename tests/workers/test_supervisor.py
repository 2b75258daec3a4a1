"""Whatever the training process does, its run ends with a cause, and nothing of it survives."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from pathlib import Path

import pytest

from tests import forked
from tests.workers.conftest import Attempts, claim
from workers.heart import Heart
from workers.locations import ServiceUnavailable
from workers.records import Job, JobState
from workers.sharing import Sharing
from workers.store import JobStore
from workers.supervisor import Patience, Supervisor


def failure_of(run: Job) -> dict[str, str]:
    assert run.failure is not None
    return run.failure


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        # The second one where it goes between opening the file and reading it.
        return False


class Background:
    """A supervisor at work on a run in its own thread."""

    def __init__(self, attempts: Attempts, run_id: str) -> None:
        self._thread = threading.Thread(target=attempts.execute, args=(run_id,))
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()


def test_a_finished_run_has_its_result_log_spec_and_metrics(store, run_ids, make_attempts, tmp_path: Path) -> None:
    make_attempts("print('hello'); report(1, loss=2.0); report(2, loss=1.0); finish()").execute(run_ids[0])
    run = store.job(run_ids[0])
    assert run.state == JobState.FINISHED
    assert run.result == {"seconds": 1.0, "final_loss": 0.5}
    assert (run.step, run.phase, run.failure, run.process_id) == (2, "", None, None)
    assert [point.values["loss"] for point in store.metrics([run.id], after=0)] == [2.0, 1.0]
    directory = tmp_path / "runs" / run.id
    assert (directory / "job.log").read_text() == "--- attempt 1\nhello\n"
    assert "method: sft" in (directory / "spec.yaml").read_text()


def test_progress_shows_while_it_trains(store, run_ids, make_attempts, until) -> None:
    work = Background(make_attempts("report(1, loss=2.0)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    assert store.job(run_ids[0]).phase == "training"
    store.request_stop(run_ids[0], "user")
    work.join()


def test_a_typed_failure_reaches_the_user(store, run_ids, make_attempts) -> None:
    cause = {"code": "data", "message": "Row 3 is empty.", "field": "row 3", "remedy": "Fill it."}
    program = f"(directory / 'failure.json').write_text({json.dumps(json.dumps(cause))}); sys.exit(1)"
    make_attempts(program).execute(run_ids[0])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert run.failure == cause


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("print('no such thing'); sys.exit(4)", "exit", "exit code 4: no such thing"),
        ("print('bye')", "exit", "without a result: bye"),
        ("(directory / 'failure.json').write_text('{\"code\"'); sys.exit(1)", "exit", "exit code 1"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "crashed", "signal 6 (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "killed by signal 9"),
    ],
)
def test_an_untyped_failure_is_explained(store, run_ids, make_attempts, program, code, message) -> None:
    make_attempts(program).execute(run_ids[0])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == code
    assert message in failure_of(run)["message"]
    assert failure_of(run)["remedy"]


def test_a_killed_training_fails_and_keeps_its_log(store, run_ids, make_attempts, tmp_path: Path, until) -> None:
    supervisor = make_attempts("print('step 1', flush=True)\nreport(1, loss=2.0)\nwait_for_ever()")
    work = Background(supervisor, run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    os.kill(store.job(run_ids[0]).process_id, signal.SIGKILL)
    work.join()
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == "killed"
    assert (tmp_path / "runs" / run.id / "job.log").read_text() == "--- attempt 1\nstep 1\n"
    assert len(store.metrics([run.id], after=0)) == 1


def test_a_stop_ends_the_run(store, run_ids, make_attempts, until) -> None:
    work = Background(make_attempts("report(1)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    assert store.request_stop(run_ids[0], "user").state == JobState.STOPPING
    work.join()
    run = store.job(run_ids[0])
    assert run.state == JobState.STOPPED
    assert run.failure is None


def test_a_child_that_ignores_the_request_is_killed_with_its_children(
    store, run_ids, make_attempts, until, tmp_path: Path
) -> None:
    program = """
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "grandchild").write_text(str(grandchild.pid))
report(1)
while True:
    signal.pause()
"""
    work = Background(make_attempts(program, stop_grace_seconds=0.3), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    grandchild = int((tmp_path / "runs" / run_ids[0] / "grandchild").read_text())
    store.request_stop(run_ids[0], "user")
    work.join()
    assert store.job(run_ids[0]).state == JobState.STOPPED
    until(lambda: not alive(grandchild))


def test_children_left_behind_by_a_finished_training_are_killed(
    store, run_ids, make_attempts, until, tmp_path: Path
) -> None:
    program = """
left = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "left").write_text(str(left.pid))
finish()
"""
    make_attempts(program).execute(run_ids[0])
    assert store.job(run_ids[0]).state == JobState.FINISHED
    until(lambda: not alive(int((tmp_path / "runs" / run_ids[0] / "left").read_text())))


def test_a_worker_that_lost_its_lease_kills_the_training(store, run_ids, make_attempts, until) -> None:
    work = Background(make_attempts("report(1)\nwait_for_ever()"), run_ids[0])
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    (pulse,) = store.pulses()
    while not store.lose(pulse):
        (pulse,) = store.pulses()
    work.join()
    assert not alive(child)
    assert [(item.after, item.cause) for item in store.transitions(job_id=run_ids[0])][-2:] == [
        ("interrupted", "its worker was lost"),
        ("queued", "goes on by itself"),
    ]


def test_a_late_or_duplicate_message_does_nothing(store, run_ids, make_attempts, tmp_path: Path) -> None:
    supervisor = make_attempts("print('trained'); finish()")
    for run_id in [run_ids[0], run_ids[0], "run_unknown"]:
        supervisor.execute(run_id)
    assert (tmp_path / "runs" / run_ids[0] / "job.log").read_text() == "--- attempt 1\ntrained\n"
    assert [item.after for item in store.transitions(job_id=run_ids[0])] == ["queued", "running", "finished"]


def test_what_a_lost_worker_had_finished_is_not_trained_again(store, run_ids, make_attempts, tmp_path: Path) -> None:
    assert claim(store, run_ids[0], worker="lost")
    directory = tmp_path / "runs" / run_ids[0]
    directory.mkdir(parents=True)
    (directory / "result.json").write_text('{"seconds": 1.0, "final_loss": 0.25}')
    (directory / f".lease-1.{forked.dead()}").touch()
    (pulse,) = store.pulses()
    assert store.lose(pulse)
    make_attempts("print('trained'); finish()").execute(run_ids[0])
    run = store.job(run_ids[0])
    assert (run.state, run.attempt, run.result) == (JobState.FINISHED, 2, {"seconds": 1.0, "final_loss": 0.25})
    assert not (directory / "job.log").exists()
    assert not list(directory.glob(".*")), "what the lost worker left half written"


def test_what_the_store_could_not_take_is_told_with_the_next_sign_of_life(
    store: JobStore, run_ids, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = claim(store, run_ids[0])
    assert job
    take = store.beat

    def away(*_: object) -> None:
        raise ServiceUnavailable("The database does not answer.", remedy="Start it.")

    with Heart(store, job, tmp_path / "runs" / job.id, lease_seconds=1000.0) as heart:
        line = {"number": 1, "step": 1, "time": 1.0, "phase": "training", "total_steps": 4, "values": {"loss": 2.0}}
        (tmp_path / "runs" / job.id / "reports-1.jsonl").write_text(json.dumps(line) + "\n")
        monkeypatch.setattr(store, "beat", away)
        with pytest.raises(ServiceUnavailable):
            heart.beat()
        monkeypatch.setattr(store, "beat", take)
        heart.beat()
    assert [point.values for point in store.metrics([job.id], after=0)] == [{"loss": 2.0}]


def test_a_job_that_has_no_room_for_a_lease_fails_with_its_cause_and_leaves_its_device_free(
    store: JobStore, run_ids, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("workers.heart.write_atomically", full)
    supervisor = Supervisor(store, Sharing(tmp_path, None), lambda *_: [], lambda _: {}, Patience())
    job = claim(store, run_ids[0])
    assert job
    assert supervisor.execute(job, ["cpu"])
    assert failure_of(store.job(job.id))["code"] == "disk_full"


def test_a_training_that_cannot_be_started_fails(store: JobStore, run_ids, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-program")
    supervisor = Supervisor(store, Sharing(tmp_path, None), lambda *_: [missing], lambda _: {}, Patience())
    job = claim(store, run_ids[0])
    assert job
    supervisor.execute(job, ["cpu"])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == "internal"


def test_credentials_do_not_reach_the_training(
    store, run_ids, make_attempts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GIFT_API_KEY", "LC_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    make_attempts("print(json.dumps(dict(os.environ))); finish()").execute(run_ids[0])
    environment = json.loads((tmp_path / "runs" / run_ids[0] / "job.log").read_text().partition("\n")[2])
    assert "s3cret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "PATH" in environment
