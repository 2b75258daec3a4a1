"""Files are read in a process of their own: what takes too much is refused, and the server goes on."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gift_core.data.unpacked import TooMuchUnpackedError
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError, SpecError
from tests import bombs
from workers.health.probe import NotReadyError
from workers.reading.documents import Bounds, JoinParts, ListProblems, ReadExamples, ReadItems
from workers.reading.readers import Readers
from workers.settings import job_environment

_MEGABYTE = 2**20
GENEROUS = Bounds.for_files_of(_MEGABYTE)
EXAMPLES = ReadExamples(shown=20)
ROW = '{"prompt": "p", "response": "r"}\n'

Until = Callable[[Callable[[], object]], None]


class Reading:
    """Readers, and the processes that they have."""

    def __init__(self, bounds: Bounds = GENEROUS) -> None:
        self.environments = 0
        self.readers = Readers(bounds, self._environment)

    def _environment(self) -> dict[str, str]:
        self.environments += 1
        return job_environment(threads=1)


@pytest.fixture
def reading() -> Iterator[Reading]:
    found = Reading()
    yield found
    found.readers.close()


def children() -> list[int]:
    """The processes that read for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"workers.reading.process" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def has_open(process: int, path: Path) -> bool:
    found = []
    for each in Path(f"/proc/{process}/fd").glob("*"):
        with suppress(OSError):
            found.append(each.readlink())
    return path in found


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_one_process_reads_one_file_after_another(reading: Reading, tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", ROW * 3)
    found = reading.readers.read(path, EXAMPLES)
    assert (found.rows, found.summary.prompt_column) == (3, "prompt")
    assert asyncio.run(reading.readers.read_async(path, EXAMPLES)) == found
    assert reading.environments == 1
    assert len(children()) == 1


def test_what_is_wrong_arrives_as_it_was_raised(reading: Reading, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        reading.readers.read(written(tmp_path / "d.jsonl", ROW + '{"prompt": "p"}\n'), EXAMPLES)
    assert [(p.field, p.message) for p in caught.value.problems] == [
        ("row 2", 'The response (column "response") is missing.')
    ]
    with pytest.raises(SpecError, match="sudoku has no items from a file"):
        reading.readers.read(tmp_path / "d.jsonl", ReadItems(task="sudoku"))
    assert reading.environments == 1, "a file that is refused is no reason for another process"


def test_every_problem_is_written_for_who_asks(reading: Reading, tmp_path: Path) -> None:
    path, into = written(tmp_path / "d.jsonl", ROW + '{"prompt": "p"}\n' * 30), tmp_path / "found.csv"
    reading.readers.read(path, ListProblems(mapping=ColumnMapping(), into=into))
    lines = into.read_text().splitlines()
    assert lines[0] == "where,problem,remedy"
    assert [line.partition(",")[0] for line in lines[1:]] == [f"row {row}" for row in range(2, 32)]


def test_parts_are_joined_up_to_a_size(reading: Reading, tmp_path: Path) -> None:
    one, two = (written(tmp_path / f"{name}.jsonl", ROW * 2) for name in "ab")
    into = tmp_path / "joined.jsonl"
    whole = JoinParts(others=(two,), into=into, most_bytes=_MEGABYTE)
    assert reading.readers.read(one, whole).is_whole
    assert into.read_text().count("\n") == 4
    assert not reading.readers.read(one, whole.model_copy(update={"most_bytes": 50})).is_whole
    assert into.stat().st_size < 200
    parts = [bombs.repeated_text(tmp_path / f"{name}.parquet", 20, 200_000) for name in "cd"]
    joined = JoinParts(others=(parts[1],), into=into, most_bytes=_MEGABYTE)
    assert not reading.readers.read(parts[0], joined).is_whole
    assert into.stat().st_size < 2 * _MEGABYTE


@pytest.mark.parametrize("task", [EXAMPLES, ReadItems(task="gsm8k")])
def test_a_bomb_is_refused_by_what_it_unpacks_to(reading: Reading, tmp_path: Path, task: ReadExamples) -> None:
    path = bombs.repeated_text(tmp_path / "d.parquet", 1000)
    with pytest.raises(TooMuchUnpackedError, match="The rows take more than 10 MB once they are unpacked"):
        reading.readers.read(path, task)


def test_memory_beyond_the_limit_is_an_error_of_the_file_and_the_next_one_is_read(tmp_path: Path) -> None:
    # Less than a row of this file takes.
    small = GENEROUS.model_copy(update={"unpacked": 2**40, "memory": 260 * _MEGABYTE})
    reading = Reading(small)
    try:
        bomb = bombs.packed_pages(tmp_path / "d.parquet", 60)
        with pytest.raises(DataError) as caught:
            reading.readers.read(bomb, EXAMPLES)
        [problem] = caught.value.problems
        assert problem.field == "data.source.dataset"
        assert "memory" in problem.message
        assert problem.remedy
        assert reading.readers.read(written(tmp_path / "d.jsonl", ROW), EXAMPLES).rows == 1
    finally:
        reading.readers.close()


@pytest.mark.parametrize("limit", [{"cpu_seconds": 1}, {"wall_seconds": 2}])
def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, limit: dict[str, int]) -> None:
    path = bombs.short_rows(tmp_path / "d.csv", 300_000)
    reading = Reading(GENEROUS.model_copy(update={"unpacked": 2**40, **limit}))
    try:
        with pytest.raises(DataError, match="Reading the file takes longer than it may"):
            reading.readers.read(path, EXAMPLES)
    finally:
        reading.readers.close()


def test_a_process_that_is_killed_is_an_error_of_the_file(reading: Reading, tmp_path: Path, until: Until) -> None:
    path = bombs.short_rows(tmp_path / "d.csv", 300_000)
    caught: list[Exception] = []

    def read() -> None:
        try:
            reading.readers.read(path, EXAMPLES)
        except DataError as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: any(has_open(process, path) for process in children()))
    os.kill(children()[0], signal.SIGKILL)
    reader.join()
    assert "ended before it had read it" in str(caught[0])
    assert reading.readers.read(written(tmp_path / "d.jsonl", ROW), EXAMPLES).rows == 1


def test_a_full_disk_is_none_of_the_file_s_faults(reading: Reading, tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", ROW)
    for task in (
        JoinParts(others=(path,), into=Path("/dev/full"), most_bytes=_MEGABYTE),
        ListProblems(mapping=ColumnMapping(), into=Path("/dev/full")),
    ):
        with pytest.raises(OSError, match="No space left on device") as caught:
            reading.readers.read(path, task)
        assert caught.value.errno == errno.ENOSPC


def test_a_process_that_does_not_start_is_no_fault_of_the_file(tmp_path: Path) -> None:
    readers = Readers(GENEROUS, lambda: job_environment(threads=1) | {"PYTHONHOME": str(tmp_path)})
    try:
        with pytest.raises(NotReadyError, match="does not start"):
            readers.read(written(tmp_path / "d.jsonl", ROW), EXAMPLES)
    finally:
        readers.close()


def test_nothing_of_the_server_reaches_it(reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_SECRET", "a password of the studio")
    reading.readers.read(written(tmp_path / "d.jsonl", ROW), EXAMPLES)
    [process] = children()
    assert b"a password of the studio" not in Path(f"/proc/{process}/environ").read_bytes()
    assert int(Path(f"/proc/{process}/oom_score_adj").read_text()) > 0


def test_the_processes_end_with_the_studio(reading: Reading, tmp_path: Path, until: Until) -> None:
    reading.readers.read(written(tmp_path / "d.jsonl", ROW), EXAMPLES)
    assert children()
    reading.readers.close()
    until(lambda: not children())
