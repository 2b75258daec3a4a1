"""The process of a job explains its failures, and does not outlive its worker."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from gift_core.errors import DataError, Problem
from gift_core.spec import RunSpec
from tests import forked
from tests.faults.unprivileged import obey_permissions
from workers import outcome
from workers.context import EXIT_LOST, EXIT_MACHINE, JobContext, JobFile
from workers.failures import failure_of
from workers.job_process import StopWish, _Lease, main
from workers.kinds import KINDS
from workers.outcome import Failure
from workers.records import JobKind, JobState

ROOT = Path(__file__).resolve().parents[2]
DATA = Path("/studio/data")


def start(directory: Path, parent: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.job_process", "--directory", str(directory)]
    command += ["--data", str(directory), "--attempt", "1", "--parent", str(parent)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def ask(directory: Path, spec: dict[str, object]) -> None:
    asked = JobFile(kind=JobKind.TRAIN, attempt=1, resume=True, spec=spec)
    (directory / "job.json").write_text(asked.model_dump_json())


def renew(directory: Path, seconds: float) -> None:
    (directory / "lease-1").write_text(str(time.monotonic() + seconds))


def context_in(data: Path) -> JobContext:
    def never() -> bool:
        return False

    return JobContext(directory=data, data=data, resume=True, report=print, stop=never, keep_result=never)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk_full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "disk_full"),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), "internal"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/anywhere"), "machine"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), str(DATA / "runs" / "run_1" / "x")), "machine"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/anywhere"), "internal"),
        (ValueError("a secret detail"), "internal"),
        (DataError("Row 3 is empty.", field="row 3", remedy="Fill it."), "data"),
    ],
)
def test_failures_are_typed_and_have_a_remedy(error: Exception, code: str) -> None:
    failure = failure_of(error, DATA)
    assert failure.code == code
    assert failure.remedy
    assert "secret" not in failure.message


def test_all_problems_reach_the_user() -> None:
    error = DataError.of([Problem("is empty.", "row 3", "Fill it."), Problem("is not JSON.", "row 5")])
    assert failure_of(error, DATA).message == "row 3: is empty. Fill it.\nrow 5: is not JSON."


def test_torch_really_says_what_is_looked_for() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert failure_of(caught.value, DATA).code == "out_of_memory"


@pytest.mark.parametrize("numbers", [1, 1_000_000])
def test_what_torch_says_of_a_full_disk_is_understood(numbers: int) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.save({"weights": torch.zeros(numbers)}, "/dev/full")
    assert failure_of(caught.value, DATA).code == "disk_full"


def test_a_data_set_is_found_by_its_id_alone(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    path = tmp_path / "datasets" / "ds_1.csv"
    path.touch()
    context = context_in(tmp_path)
    assert context.dataset("ds_1") == path
    for unknown in ("ds_2", "../ds_1", str(path)):
        with pytest.raises(DataError):
            context.dataset(unknown)


def test_an_unknown_model_is_a_typed_failure(tmp_path: Path) -> None:
    ask(tmp_path, RunSpec().replace({"model.name": "nope"}).model_dump(mode="json"))
    renew(tmp_path, 60)
    process = start(tmp_path, os.getpid())
    assert process.returncode == 1
    failure = Failure.model_validate_json((tmp_path / "failure.json").read_text())
    assert (failure.code, failure.field) == ("model", "model.name")
    assert "Traceback" in process.stderr


def test_it_ends_itself_when_its_worker_is_silent(tmp_path: Path) -> None:
    ask(tmp_path, RunSpec().model_dump(mode="json"))
    renew(tmp_path, 0.2)
    process = start(tmp_path, os.getpid())
    assert process.returncode == EXIT_LOST
    assert "has not renewed its lease" in process.stderr
    assert not (tmp_path / "failure.json").exists()


def test_it_does_not_start_without_its_worker(tmp_path: Path) -> None:
    process = start(tmp_path, parent=1 if os.getpid() != 1 else 2)
    assert process.returncode != 0
    assert "the worker is gone" in process.stderr
    assert list(tmp_path.iterdir()) == []


def _end_without_a_word(directory: Path, number: int) -> None:
    def unwritable(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    outcome.write_atomically = unwritable
    _carry_out(directory)


def _carry_out(directory: Path) -> None:
    arguments = {"directory": directory, "data": directory, "attempt": 1, "parent": os.getppid()}
    main([part for name, value in arguments.items() for part in (f"--{name}", str(value))])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_where_a_failure_cannot_be_written_down_its_exit_code_says_that_the_disk_is_full(
    tmp_path: Path, number: int
) -> None:
    renew(tmp_path, 60)
    process = forked.start(_end_without_a_word, tmp_path, number)
    process.join(60)
    assert process.exitcode is not None
    assert outcome.outcome_of(tmp_path, process.exitcode).failure == outcome.DISK_FULL


def test_where_a_failure_cannot_be_written_down_its_exit_code_says_that_the_machine_is_at_fault(tmp_path: Path) -> None:
    renew(tmp_path, 60)
    process = forked.start(_end_without_a_word, tmp_path, errno.EROFS)
    process.join(60)
    assert process.exitcode == EXIT_MACHINE
    ended = outcome.outcome_of(tmp_path, EXIT_MACHINE)
    assert (ended.state, ended.failure and ended.failure.code) == (JobState.INTERRUPTED, "machine")


def _work_without_descriptors(directory: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    _carry_out(directory)


def _work_where_nothing_may_be_written(directory: Path) -> None:
    obey_permissions()
    _carry_out(directory)


@pytest.mark.parametrize("work", [_work_without_descriptors, _work_where_nothing_may_be_written])
def test_a_process_that_its_machine_keeps_from_its_work_has_not_failed(
    tmp_path: Path, work: Callable[[Path], None]
) -> None:
    ask(tmp_path, RunSpec().model_dump(mode="json"))
    renew(tmp_path, 60)
    tmp_path.chmod(0o555)
    process = forked.start(work, tmp_path)
    process.join(60)
    tmp_path.chmod(0o755)
    assert process.exitcode is not None
    ended = outcome.outcome_of(tmp_path, process.exitcode)
    assert (ended.state, ended.failure and ended.failure.code) == (JobState.INTERRUPTED, "machine")


def _lose_sight_of_the_lease(directory: Path, connection: Connection) -> None:
    """The lease cannot be read any more while it lasts, and then it is over."""
    lease = _Lease(directory / "lease-1")
    connection.send(lease.end_if_over() > 0)
    (directory / "lease-1").unlink()
    # As for a disk that does not answer: there is something, and it cannot be read.
    (directory / "lease-1").mkdir()
    connection.send(lease.end_if_over() > 0)
    while True:
        lease.end_if_over()


def test_a_lease_that_cannot_be_read_lasts_as_long_as_was_last_known(tmp_path: Path) -> None:
    renew(tmp_path, 3)
    process, told = forked.start_telling(_lose_sight_of_the_lease, tmp_path)
    assert [told.recv(), told.recv()] == [True, True]
    process.join(60)
    assert process.exitcode == EXIT_MACHINE


def test_signals_say_whether_the_result_is_kept_and_at_the_end_nothing() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        wish = StopWish()
        assert not wish.stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert (wish.stop.is_set(), wish.keep_result.is_set()) == (True, False)
        signal.raise_signal(signal.SIGUSR1)
        assert wish.keep_result.is_set()
        wish.hear_no_more()
        assert {signal.getsignal(number) for number in handlers} == {signal.SIG_IGN}
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_every_kind_is_asked_for_with_a_model_and_keeps_its_files_in_a_folder_of_its_own() -> None:
    assert len({kind.request for kind in KINDS.values()}) == len({kind.folder for kind in KINDS.values()}) == len(KINDS)
    assert all((ROOT / "workers" / "kinds" / f"{kind}.py").exists() for kind in KINDS)
