"""Whatever a job's process does, its job ends with a cause, and nothing of it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from workers import processes
from workers.processes import kill_everything_of, mark, signal_everything_of
from workers.records import Job, JobState, StopMode
from workers.store import JobStore
from workers.supervisor import Patience, Supervisor


def failure_of(run: Job) -> dict[str, str]:
    assert run.failure is not None
    return run.failure


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Background:
    """A supervisor at work on a job in its own thread."""

    def __init__(self, supervisor: Supervisor, job: Job) -> None:
        self._thread = threading.Thread(target=supervisor.execute, args=(job, ["cpu"]))
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


def test_a_finished_run_has_its_result_log_spec_and_metrics(
    store, run_ids, claim, make_supervisor, tmp_path: Path
) -> None:
    make_supervisor("print('hello'); report(1, loss=2.0); report(2, loss=1.0); finish()").execute(
        claim(run_ids[0]), ["cpu"]
    )
    run = store.job(run_ids[0])
    assert run.state == JobState.FINISHED
    assert run.result == {"seconds": 1.0, "final_loss": 0.5}
    assert (run.step, run.phase, run.failure, run.process_id) == (2, "", None, None)
    assert [point.values["loss"] for point in store.metrics([run.id], after=0)] == [2.0, 1.0]
    directory = tmp_path / "runs" / run.id
    assert (directory / "job.log").read_text() == "--- attempt 1\nhello\n"
    assert "method: sft" in (directory / "spec.yaml").read_text()


def test_progress_shows_while_it_trains(store, run_ids, claim, make_supervisor, until) -> None:
    work = Background(make_supervisor("report(1, loss=2.0)\nwait_for_ever()"), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    assert store.job(run_ids[0]).phase == "training"
    store.request_stop(run_ids[0], "user")
    work.join()


def test_a_typed_failure_reaches_the_user(store, run_ids, claim, make_supervisor) -> None:
    cause = {"code": "data", "message": "Row 3 is empty.", "field": "row 3", "remedy": "Fill it."}
    program = f"(directory / 'failure.json').write_text({json.dumps(json.dumps(cause))}); sys.exit(1)"
    make_supervisor(program).execute(claim(run_ids[0]), ["cpu"])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
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
def test_an_untyped_failure_is_explained(store, run_ids, claim, make_supervisor, program, code, message) -> None:
    make_supervisor(program).execute(claim(run_ids[0]), ["cpu"])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == code
    assert message in failure_of(run)["message"]
    assert failure_of(run)["remedy"]


def test_a_killed_training_fails_and_keeps_its_log(
    store, run_ids, claim, make_supervisor, tmp_path: Path, until
) -> None:
    supervisor = make_supervisor("print('step 1', flush=True)\nreport(1, loss=2.0)\nwait_for_ever()")
    work = Background(supervisor, claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    os.kill(store.job(run_ids[0]).process_id, signal.SIGKILL)
    work.join()
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == "killed"
    assert (tmp_path / "runs" / run.id / "job.log").read_text() == "--- attempt 1\nstep 1\n"
    assert len(store.metrics([run.id], after=0)) == 1


def test_a_stop_ends_the_run(store, run_ids, claim, make_supervisor, until) -> None:
    work = Background(make_supervisor("report(1)\nwait_for_ever()"), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    assert store.request_stop(run_ids[0], "user").state == JobState.STOPPING
    work.join()
    run = store.job(run_ids[0])
    assert run.state == JobState.STOPPED
    assert run.failure is None


def test_a_child_that_ignores_the_request_is_killed_with_its_children(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    program = """
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "grandchild").write_text(str(grandchild.pid))
report(1)
while True:
    signal.pause()
"""
    work = Background(make_supervisor(program, stop_grace_seconds=0.3), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    grandchild = int((tmp_path / "runs" / run_ids[0] / "grandchild").read_text())
    store.request_stop(run_ids[0], "user")
    work.join()
    assert store.job(run_ids[0]).state == JobState.STOPPED
    until(lambda: not alive(grandchild))


def test_children_left_behind_by_a_finished_training_are_killed(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    program = """
left = subprocess.Popen([sys.executable, "-c", "import signal\\nwhile True: signal.pause()"])
(directory / "left").write_text(str(left.pid))
finish()
"""
    make_supervisor(program).execute(claim(run_ids[0]), ["cpu"])
    assert store.job(run_ids[0]).state == JobState.FINISHED
    until(lambda: not alive(int((tmp_path / "runs" / run_ids[0] / "left").read_text())))


def test_a_worker_that_lost_the_job_kills_its_own_process_and_touches_nothing_of_the_next_attempt(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    supervisor = make_supervisor("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreport(1)\nwait_for_ever()")
    beat, woken = store.beat, threading.Event()

    def stall(job_id, owner, lines=()):
        orders = beat(job_id, owner, lines)
        if owner == "worker/1" and orders and orders.stop_mode:
            assert woken.wait(20)
        return orders

    store.beat = stall
    first = Background(supervisor, claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    until(lambda: store.job(run_ids[0]).heartbeat > 2 and store.lose(store.pulses()[0]))
    store.requeue(run_ids[0], "user", "resumed")

    job = claim(run_ids[0])
    second = Background(supervisor, job)
    until(lambda: store.job(job.id).process_id not in (None, child))
    assert not alive(child), "whoever takes the job ends what is left of the attempt before"
    reports = tmp_path / "runs" / job.id / "reports-2.jsonl"
    until(reports.exists)
    woken.set()
    first.join()
    assert alive(store.job(job.id).process_id)
    assert reports.exists()
    supervisor.shutdown.set()
    second.join()
    moves = [item.after for item in store.transitions(job_id=job.id)]
    assert moves[-3:] == ["running", "interrupted", "queued"]


def test_a_worker_that_stalls_and_wakes_up_in_time_hands_the_job_back(
    store, run_ids, claim, make_supervisor, until
) -> None:
    program = """
import threading
sys.path.insert(0, os.getcwd())
from workers.lease import die_without
threading.Thread(target=die_without, args=(directory / "lease-1",), daemon=True).start()
report(1)
wait_for_ever()
"""
    beat, woken = store.beat, threading.Event()

    def stall(job_id, owner, lines=()):
        orders = beat(job_id, owner, lines)
        if lines:
            assert woken.wait(20)
        return orders

    store.beat = stall
    work = Background(make_supervisor(program, lease_seconds=2.0), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    child = store.job(run_ids[0]).process_id
    until(lambda: not alive(child))
    woken.set()
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.losses, job.failure) == (JobState.QUEUED, 1, None)
    assert "stood still" in [item.cause for item in store.transitions(job_id=job.id)][-2]


SAVES = """
def stop(number, frame):
    (directory / "saved").write_text(signal.Signals(number).name)
    if number == signal.SIGUSR1:
        finish()
    (directory / "stopped").touch()
    sys.exit(0)

signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, stop)
report(1, loss=2.0)
wait_for_ever()
"""


def test_a_stop_keeps_what_there_is_as_a_result(store, run_ids, claim, make_supervisor, until, tmp_path: Path) -> None:
    work = Background(make_supervisor(SAVES), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result) == (JobState.STOPPED, {"seconds": 1.0, "final_loss": 0.5})
    assert (tmp_path / "runs" / job.id / "saved").read_text() == "SIGUSR1"
    assert [run.id for run in store.trained()] == [job.id]


def test_a_stop_that_discards_leaves_the_log_and_what_was_asked(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    work = Background(make_supervisor(SAVES), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result) == (JobState.STOPPED, None)
    left = sorted(path.name for path in (tmp_path / "runs" / job.id).iterdir())
    assert left == ["job.json", "job.log", "spec.yaml"]


def test_a_stop_that_takes_long_can_be_turned_into_one_that_discards(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    slow = SAVES.replace("if number", "if number == signal.SIGUSR1: return\n    if number")
    work = Background(make_supervisor(slow, stop_grace_seconds=300), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    until((tmp_path / "runs" / run_ids[0] / "saved").exists)
    store.request_stop(run_ids[0], "user", StopMode.DISCARD)
    work.join()
    assert store.job(run_ids[0]).state == JobState.STOPPED
    assert not (tmp_path / "runs" / run_ids[0] / "saved").exists()


def test_a_stop_whose_result_cannot_be_saved_says_so(store, run_ids, claim, make_supervisor, until) -> None:
    cause = {"code": "disk_full", "message": "The disk is full.", "field": "", "remedy": "Delete something."}
    program = f"""
def fail(number, frame):
    (directory / "failure.json").write_text({json.dumps(json.dumps(cause))})
    sys.exit(1)

signal.signal(signal.SIGUSR1, fail)
report(1)
wait_for_ever()
"""
    work = Background(make_supervisor(program), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    store.request_stop(run_ids[0], "user")
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.failure) == (JobState.FAILED, cause)


def test_a_studio_that_stops_has_its_jobs_saved_and_hands_them_back(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    supervisor = make_supervisor(SAVES)
    work = Background(supervisor, claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    supervisor.shutdown.set()
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.result, job.losses) == (JobState.QUEUED, None, 0)
    assert (tmp_path / "runs" / job.id / "saved").read_text() == "SIGTERM"

    make_supervisor("finish()").execute(claim(job.id), ["cpu"])
    assert store.job(job.id).state == JobState.FINISHED
    log = (tmp_path / "runs" / job.id / "job.log").read_text()
    assert log == "--- attempt 1\n--- attempt 2\n"


def test_a_process_that_somebody_else_ends_goes_on_by_itself(store, run_ids, claim, make_supervisor, until) -> None:
    work = Background(make_supervisor(SAVES), claim(run_ids[0]))
    until(lambda: store.job(run_ids[0]).step == 1)
    os.kill(store.job(run_ids[0]).process_id, signal.SIGTERM)
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.losses) == (JobState.QUEUED, 1)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_process_is_told_whether_to_go_on_and_reports_into_a_file_of_its_own(
    store, run_ids, claim, make_supervisor, tmp_path: Path, fresh: bool
) -> None:
    make_supervisor("report(1, loss=3.0); sys.exit(1)").execute(claim(run_ids[0]), ["cpu"])
    store.requeue(run_ids[0], "user", "again", fresh=fresh)
    make_supervisor("print(asked['attempt'], asked['resume']); report(1, loss=2.0); finish()").execute(
        claim(run_ids[0]), ["cpu"]
    )
    directory = tmp_path / "runs" / run_ids[0]
    assert (directory / "job.log").read_text() == f"--- attempt 1\n--- attempt 2\n2 {not fresh}\n"
    assert [len((directory / f"reports-{n}.jsonl").read_text().splitlines()) for n in (1, 2)] == [1, 1]
    assert store.job(run_ids[0]).attempt == 2


def test_grandchildren_that_changed_their_group_are_found(
    store, run_ids, claim, make_supervisor, until, tmp_path: Path
) -> None:
    program = """
idle = "import signal\\nwhile True: signal.pause()"
left = subprocess.Popen([sys.executable, "-c", idle], start_new_session=True)
(directory / "left").write_text(str(left.pid))
"""
    make_supervisor(program + "finish()").execute(claim(run_ids[0]), ["cpu"])
    assert store.job(run_ids[0]).state == JobState.FINISHED
    assert not alive(int((tmp_path / "runs" / run_ids[0] / "left").read_text())), "before the next job begins"


def test_only_the_attempts_asked_for_are_killed(tmp_path: Path) -> None:
    idle = [sys.executable, "-c", "import signal\nwhile True: signal.pause()"]
    name = tmp_path.name
    processes = [subprocess.Popen(idle, env=dict(mark(name, attempt))) for attempt in (1, 2, 3)]
    try:
        assert kill_everything_of(name, range(3)) == 2
        assert [process.poll() for process in processes] == [-signal.SIGKILL, -signal.SIGKILL, None]
        signal_everything_of(name, 3, signal.SIGTERM)
        assert processes[2].wait(timeout=20) == -signal.SIGTERM
    finally:
        for process in processes:
            process.kill()


def test_the_memory_is_the_next_jobs_only_once_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GONE_SECONDS", 0.1)
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    idle = [sys.executable, "-c", "import signal\nwhile True: signal.pause()"]
    process = subprocess.Popen(idle, env=dict(mark("stuck", 1)))
    with pytest.raises(TimeoutError, match="stuck"):
        kill_everything_of("stuck", (1,))
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_process_that_cannot_be_started_fails(store: JobStore, run_ids, claim, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-program")
    supervisor = Supervisor(store, tmp_path, lambda *_: [missing], lambda _: {}, Patience())
    supervisor.execute(claim(run_ids[0]), ["cpu"])
    run = store.job(run_ids[0])
    assert run.state == JobState.FAILED
    assert failure_of(run)["code"] == "internal"


def test_credentials_do_not_reach_the_training(
    store, run_ids, claim, make_supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GIFT_API_KEY", "LC_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    make_supervisor("print(json.dumps(dict(os.environ))); finish()").execute(claim(run_ids[0]), ["cpu"])
    environment = json.loads((tmp_path / "runs" / run_ids[0] / "job.log").read_text().splitlines()[1])
    assert "s3cret" not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "PATH" in environment
