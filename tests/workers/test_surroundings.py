"""What fails around a job is not the job's failure: it is handed back, and its worker takes none until it is over."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workers.conftest import claim
from tests.workers.test_supervisor import Background, alive
from workers.context import LOG_FILE
from workers.devices import Device, DevicePool
from workers.locations import ServiceUnavailable
from workers.processes import kill_everything_of, mark
from workers.queue import JobQueue
from workers.readiness import check_store
from workers.reaper import Reaper
from workers.records import JobState
from workers.store import JobStore
from workers.worker import Worker

MACHINE = '{"code": "machine", "message": "Its process could not use its machine: Input/output error."}'
HANDED_BACK = ["queued", "running", "interrupted", "queued"]


def emfile(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def no_thread(*_: object, **__: object) -> None:
    raise RuntimeError("can't start new thread")


def states(store: JobStore, run_id: str) -> list[str]:
    return [item.after for item in store.transitions(job_id=run_id)]


@pytest.mark.parametrize(
    "place",
    [
        "workers.supervisor.subprocess.Popen",
        "workers.supervisor.clear_scratch",
        "workers.supervisor.write_atomically",
        "workers.heart.write_atomically",
        "workers.heart.threading.Thread.start",
    ],
)
@pytest.mark.parametrize("fault", [emfile, no_thread])
def test_a_fault_of_the_machine_wherever_it_is_met_hands_the_job_back_as_often_as_it_comes(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch, place: str, fault: Callable[..., None]
) -> None:
    attempts = make_attempts("finish()")
    with monkeypatch.context() as patched:
        patched.setattr(place, fault)
        # More often than a worker may be lost.
        for _ in range(6):
            attempts.execute(run_ids[0])
    job = store.job(run_ids[0])
    assert (job.state, job.losses, job.failure) == (JobState.QUEUED, 0, None)
    assert "failed" not in states(store, run_ids[0])
    assert attempts.supervisor.gate.held_up
    attempts.execute(run_ids[0])
    assert store.job(run_ids[0]).state == JobState.FINISHED


def test_what_an_earlier_attempt_left_and_nothing_ends_is_no_failure(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def does_not_end(*_: object) -> int:
        raise TimeoutError("process 1 does not end")

    attempts = make_attempts("finish()")
    with monkeypatch.context() as patched:
        patched.setattr("workers.supervisor.kill_everything_of", does_not_end)
        attempts.execute(run_ids[0])
    job = store.job(run_ids[0])
    assert (job.state, job.losses) == (JobState.QUEUED, 1)
    assert not attempts.supervisor.gate.held_up
    attempts.execute(run_ids[0])
    assert store.job(run_ids[0]).state == JobState.FINISHED


def test_a_job_whose_own_files_cannot_be_used_holds_nothing_up_and_does_not_go_round_for_ever(
    store: JobStore, run_ids, make_attempts, tmp_path: Path
) -> None:
    log = tmp_path / "runs" / run_ids[0] / LOG_FILE
    log.parent.mkdir(parents=True)
    log.symlink_to(log)
    attempts = make_attempts("finish()")
    for number in range(1, 5):
        attempts.execute(run_ids[0])
        assert store.job(run_ids[0]).losses == number
        assert attempts.supervisor.gate.held_up == ""
    job = store.job(run_ids[0])
    assert (job.state, job.failure and job.failure["code"]) == (JobState.INTERRUPTED, "machine")
    assert job.failure["message"].startswith("Its files cannot be read or written: Too many levels")
    attempts.execute(run_ids[1])
    assert store.job(run_ids[1]).state == JobState.FINISHED


def test_a_worker_does_not_wait_for_a_result_that_it_may_not_read(store: JobStore, run_ids, make_attempts) -> None:
    attempts = make_attempts(
        "import os; finish(); link = directory / 'result.json'; link.unlink(missing_ok=True); link.symlink_to(link)"
    )
    attempts.execute(run_ids[0])
    job = store.job(run_ids[0])
    assert (job.state, job.losses, attempts.supervisor.gate.held_up) == (JobState.QUEUED, 1, "")


def test_the_store_may_be_away_as_often_as_it_likes(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ServiceUnavailable("The artefacts cannot be reached.")

    attempts = make_attempts("finish()")
    with monkeypatch.context() as patched:
        patched.setattr(attempts.supervisor._sharing, "bring", away)
        for _ in range(6):
            attempts.execute(run_ids[0])
    job = store.job(run_ids[0])
    assert (job.state, job.losses) == (JobState.QUEUED, 0)


def test_a_mistake_of_the_studios_ends_the_job_so_that_it_does_not_go_round_for_ever(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr("workers.supervisor.clear_scratch", mistaken)
    make_attempts("finish()").execute(run_ids[0])
    job = store.job(run_ids[0])
    assert (job.state, job.failure and job.failure["code"]) == (JobState.FAILED, "internal")


def test_a_process_that_ends_while_nothing_can_be_written_is_handed_back_whatever_it_left(
    store: JobStore, run_ids, make_attempts
) -> None:
    make_attempts("(directory.parent.parent / 'exports').touch(); sys.exit(1)").execute(run_ids[0])
    assert states(store, run_ids[0]) == HANDED_BACK
    assert store.job(run_ids[0]).losses == 0
    cause = store.transitions(job_id=run_ids[0])[2].cause
    assert cause == "its machine was at fault: The data folder cannot be written to: Not a directory"


def test_any_error_of_the_worker_counts_as_the_machines_while_nothing_can_be_written(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "exports").touch()

    def missing(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(tmp_path / "runs" / "x"))

    monkeypatch.setattr("workers.supervisor.clear_scratch", missing)
    make_attempts("finish()").execute(run_ids[0])
    assert states(store, run_ids[0]) == HANDED_BACK


def test_a_process_that_says_so_is_handed_back_but_not_for_ever(store: JobStore, run_ids, make_attempts) -> None:
    """The machine is found to be well each time, so the job may be what exhausts it."""
    attempts = make_attempts(f"(directory / 'failure.json').write_text({MACHINE!r}); sys.exit(1)")
    for number in range(1, 4):
        attempts.execute(run_ids[0])
        job = store.job(run_ids[0])
        assert (job.state, job.losses) == (JobState.QUEUED, number)
    attempts.execute(run_ids[0])
    job = store.job(run_ids[0])
    assert job.state == JobState.INTERRUPTED
    assert job.failure
    assert (job.failure["code"], job.failure["message"]) == (
        "machine",
        "Its process could not use its machine: Input/output error.",
    )


def test_a_process_that_gets_on_between_two_faults_goes_on(store: JobStore, run_ids, make_attempts) -> None:
    program = f"""
checkpoint = directory / "trainer" / f"checkpoint-{{attempt}}"
checkpoint.mkdir(parents=True)
(checkpoint / "complete.json").write_text("{{}}")
(directory / 'failure.json').write_text({MACHINE!r})
sys.exit(1)
"""
    from gift_core.recovery import _SEAL

    attempts = make_attempts(program.replace("complete.json", _SEAL))
    for number in range(1, 7):
        attempts.execute(run_ids[0])
        job = store.job(run_ids[0])
        assert (job.state, job.losses, job.saved_step) == (JobState.QUEUED, 0, number)


def test_a_result_that_cannot_be_read_for_a_moment_is_waited_for(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch, until
) -> None:
    """The process has ended well: it must not count as one that has left nothing."""
    read_text, refused = Path.read_text, threading.Event()
    broken = threading.Event()
    broken.set()

    def read(path: Path, *arguments: str) -> str:
        if path.name == "result.json" and path.exists() and broken.is_set():
            refused.set()
            emfile()
        return read_text(path, *arguments)

    monkeypatch.setattr(Path, "read_text", read)
    attempts = make_attempts("finish()", lease_seconds=4.0)
    work = Background(attempts, run_ids[0])
    until(refused.is_set)
    until(lambda: attempts.supervisor.gate.held_up == "Too many open files.")
    broken.clear()
    work.join()
    job = store.job(run_ids[0])
    assert (job.state, job.attempt) == (JobState.FINISHED, 1)


def test_what_runs_is_not_taken_for_gone_where_it_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "600"], env={**os.environ, **mark(tmp_path, 1)}) as process:
        with monkeypatch.context() as patched:
            patched.setattr("psutil.Process.environ", emfile)
            with pytest.raises(OSError, match="Too many open files"):
                kill_everything_of(tmp_path, (1,))
        assert alive(process.pid)
        assert kill_everything_of(tmp_path, (1,)) == 1


def test_a_training_goes_on_while_its_worker_cannot_look_for_checkpoints(
    store: JobStore, run_ids, make_attempts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, until
) -> None:
    asked = threading.Event()

    def look(_: Path) -> None:
        asked.set()
        emfile()

    attempts = make_attempts("report(1)\nwhile not (directory / 'go').exists(): time.sleep(0.02)\nfinish()")
    with monkeypatch.context() as patched:
        patched.setattr("workers.lifecycle.attempt_files.last_sealed_step", look)
        work = Background(attempts, run_ids[0])
        until(asked.is_set)
        until(lambda: store.job(run_ids[0]).step == 1)
    (tmp_path / "runs" / run_ids[0] / "go").touch()
    work.join()
    assert (store.job(run_ids[0]).state, store.job(run_ids[0]).attempt) == (JobState.FINISHED, 1)


def test_a_time_in_which_nobody_could_write_makes_no_worker_silent(store: JobStore, run_ids) -> None:
    """The reaper waits for the lock as all the others do, and must not be the first to use it."""
    now = 0.0
    reaper = Reaper(store, 10.0, lambda: now)
    assert claim(store, run_ids[0])
    write = store._write

    def locked_for_long() -> object:
        nonlocal now
        now += 30.0
        return write()

    for _ in range(5):
        reaper.look()
        now += 2.0
    store._write = locked_for_long  # type: ignore[method-assign, assignment]
    reaper.look()
    store._write = write  # type: ignore[method-assign]
    assert store.job(run_ids[0]).state == JobState.RUNNING
    for _ in range(8):
        reaper.look()
        now += 2.0
    assert store.job(run_ids[0]).state == JobState.QUEUED, "one that is silent with a store that answers is found"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    opened = JobQueue(tmp_path / "queue.sqlite3")
    yield opened
    opened.close()


def announced(store: JobStore) -> list[str]:
    """Why each worker takes nothing, as it says in the store; "" for one that takes jobs."""
    return [worker.devices[0]["held_up"] for worker in store.workers()]


def test_a_worker_takes_nothing_until_its_machine_is_well_and_says_why(
    store: JobStore, run_ids, queue, make_attempts, until, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "runs"
    in_the_way.touch()
    supervisor = make_attempts("finish()", lease_seconds=2.0).supervisor
    pool = DevicePool([Device(name="cpu", title="CPU", memory=1)], 1)
    worker = Worker(store, queue, supervisor, pool, Reaper(store, 2.0), look_seconds=0.1)
    for run_id in run_ids:
        queue.wake(run_id)
    worker.start()
    try:
        until(lambda: "cannot be written to" in worker.held_up)
        # As all of the studio's processes see it.
        until(lambda: any("cannot be written to" in reason for reason in announced(store)))
        until(queue.is_empty)
        check_store(store.database)
        assert [job.attempt for job in store.jobs()] == [0, 0]
        in_the_way.unlink()
        until(lambda: all(job.state == JobState.FINISHED for job in store.jobs()))
        assert worker.held_up == ""
        until(lambda: announced(store) == [""])
    finally:
        worker.stop()
