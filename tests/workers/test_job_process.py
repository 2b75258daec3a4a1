"""The process of a job explains its failures, and does not outlive its worker."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gift_core.errors import DataError, ModelError, NotFiniteError, Problem, SpecError
from gift_core.spec import RunSpec
from workers.context import JobContext, JobFile
from workers.failures import failure_of
from workers.job_process import StopWish
from workers.kinds import KINDS
from workers.lease import Lease
from workers.outcome import Failure
from workers.records import JobKind

ROOT = Path(__file__).resolve().parents[2]


def start(directory: Path, parent: int, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
    Lease(directory / "lease", seconds).renew(time.monotonic())
    command = [sys.executable, "-m", "workers.job_process", "--directory", str(directory)]
    command += ["--data", str(directory), "--lease", str(directory / "lease"), "--parent", str(parent)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk_full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full"),
        (ValueError("a secret detail"), "internal"),
        (DataError("Row 3 is empty.", field="row 3", remedy="Fill it."), "data"),
        (SpecError("seed must be a number.", remedy="Write 7."), "spec"),
        (NotFiniteError("The loss of step 3 is not finite.", remedy="Lower training.learning_rate."), "nan_loss"),
    ],
)
def test_failures_are_typed_and_have_a_remedy(error: Exception, code: str) -> None:
    failure = failure_of(error)
    assert failure.code == code
    assert failure.remedy
    assert "secret" not in failure.message


def test_all_problems_reach_the_user() -> None:
    error = DataError.of([Problem("is empty.", "row 3", "Fill it."), Problem("is not JSON.", "row 5")])
    assert failure_of(error).message == "row 3: is empty. Fill it.\nrow 5: is not JSON."


def test_torch_really_says_what_is_looked_for() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert failure_of(caught.value).code == "out_of_memory"


def context(data: Path) -> JobContext:
    directory = data / "runs" / "run_1"
    return JobContext(directory, data, False, lambda _: None, lambda: False, lambda: False)


def test_a_data_set_is_found_by_its_id_alone(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    path = tmp_path / "datasets" / "ds_1.csv"
    path.touch()
    find = context(tmp_path).dataset
    assert find("ds_1") == path
    for unknown in ("ds_2", "../ds_1", str(path)):
        with pytest.raises(DataError):
            find(unknown)


def test_a_checkpoint_is_found_by_its_id_alone(tmp_path: Path) -> None:
    for unknown in ("run_1", "../runs/run_2", str(tmp_path)):
        with pytest.raises(ModelError):
            context(tmp_path).model(unknown)
    (tmp_path / "runs" / "run_2").mkdir(parents=True)
    with pytest.raises(ModelError, match="not there any more"):
        context(tmp_path).model("run_2")


def test_an_unknown_model_is_a_typed_failure(tmp_path: Path) -> None:
    spec = RunSpec().replace({"model.name": "nope"}).model_dump(mode="json")
    asked = JobFile(kind=JobKind.TRAIN, attempt=1, resume=True, spec=spec)
    (tmp_path / "job.json").write_text(asked.model_dump_json())
    process = start(tmp_path, os.getpid())
    assert process.returncode == 1
    failure = Failure.model_validate_json((tmp_path / "failure.json").read_text())
    assert (failure.code, failure.field) == ("model", "model.name")
    assert "Traceback" in process.stderr


def test_it_does_not_start_without_its_worker(tmp_path: Path) -> None:
    process = start(tmp_path, parent=1 if os.getpid() != 1 else 2)
    assert process.returncode != 0
    assert "the worker is gone" in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_signals_say_whether_the_result_is_kept() -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        wish = StopWish()
        assert not wish.stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert (wish.stop.is_set(), wish.keep_result.is_set()) == (True, False)
        signal.raise_signal(signal.SIGUSR1)
        assert wish.keep_result.is_set()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_every_kind_is_asked_for_with_a_model_of_its_own_and_has_a_folder_of_its_own() -> None:
    assert len({kind.request for kind in KINDS.values()}) == len({kind.folder for kind in KINDS.values()}) == len(KINDS)
    assert all((ROOT / "workers" / "kinds" / f"{kind}.py").exists() for kind in KINDS)


IDLE = """
import sys, threading
from pathlib import Path
from workers.lease import die_without
threading.Thread(target=die_without, args=(Path(sys.argv[1]),), daemon=True).start()
print("lives", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_process_ends_itself_once_its_lease_is_not_renewed(tmp_path: Path, damaged: bool) -> None:
    path = tmp_path / "lease"
    lease = Lease(path, 600.0)
    lease.renew(time.monotonic())
    command = [sys.executable, "-c", IDLE, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lives\n"
        assert process.poll() is None
        if damaged:
            path.write_text("")
        else:
            lease.renew(time.monotonic() - 600.0)
            assert lease.is_over
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "has not renewed its lease" in complaint


def test_a_lease_that_is_over_is_not_renewed(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease", 5.0)
    lease.renew(time.monotonic())
    assert not lease.is_over
    lease.renew(time.monotonic() - 6.0)
    lease.renew(time.monotonic())
    assert lease.is_over, "the process has ended itself by now"
    lease.remove()
    assert list(tmp_path.iterdir()) == []
