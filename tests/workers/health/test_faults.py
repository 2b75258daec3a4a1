"""What is the machine's fault is told apart from what is wrong with a job."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from gift_core.errors import DataError, OutOfMemoryError
from workers.health.faults import fault_of_machine

DATA = Path("/studio/data")


def of(number: int, path: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([str(path)] if path else []))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
@pytest.mark.parametrize("path", [None, Path("/elsewhere"), DATA / "runs"])
def test_what_the_process_has_no_more_of_is_the_machines_fault(number: int, path: Path | None) -> None:
    assert fault_of_machine(of(number, path), DATA) == os.strerror(number)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENOTDIR])
def test_a_file_that_cannot_be_used_is_the_machines_fault_if_it_is_the_studios(number: int) -> None:
    assert fault_of_machine(of(number, DATA / "runs" / "run_1"), DATA) == os.strerror(number)
    assert fault_of_machine(of(number, Path("/home/somebody/model")), DATA) is None
    assert fault_of_machine(of(number, Path("/studio/data2/runs")), DATA) is None


def test_writing_to_an_open_file_names_none() -> None:
    assert fault_of_machine(of(errno.EIO), DATA) == "Input/output error"
    assert fault_of_machine(of(errno.EACCES), DATA) is None


@pytest.mark.parametrize(
    "error",
    [
        of(errno.ENOENT, DATA / "runs"),
        of(errno.ENOSPC, DATA / "runs"),
        TypeError("a mistake"),
        ValueError("Row 3"),
        DataError("Row 3 is empty."),
        TimeoutError("it took too long"),
    ],
    ids=str,
)
def test_anything_else_is_not(error: Exception) -> None:
    assert fault_of_machine(error, DATA) is None


def test_an_error_that_is_put_in_words_keeps_its_cause() -> None:
    """A data set whose file cannot be read for a moment has nothing wrong in it."""

    def read() -> None:
        try:
            raise of(errno.EMFILE, DATA / "datasets" / "ds_1.csv")
        except OSError:
            raise DataError("The file cannot be read.") from None

    with pytest.raises(DataError) as caught:
        read()
    assert fault_of_machine(caught.value, DATA) == "Too many open files"


def test_memory_that_a_job_could_not_have_is_told_by_the_job() -> None:
    assert fault_of_machine(MemoryError(), DATA) == "Cannot allocate memory"
    error = OutOfMemoryError("The machine ran out of memory.")
    error.__cause__ = MemoryError()
    assert fault_of_machine(error, DATA) is None


def test_libraries_quote_the_machine() -> None:
    said = RuntimeError("I/O error: Read-only file system (os error 30)")
    assert fault_of_machine(said, DATA) == "Read-only file system"


def test_python_really_says_that_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stack that no machine has.
    before = threading.stack_size(2**47)
    try:
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            threading.Thread(target=lambda: None).start()
    finally:
        threading.stack_size(before)
    assert fault_of_machine(caught.value, DATA) == "No thread can be started"
