"""What needs torch is answered by a process beside the server, in the words that answering here would have."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gift_core.errors import DataError, SpecError
from gift_core.spec import RunSpec
from gift_core.tasks.items import Item
from workers.checking.checker import Beside, Checker, CheckingUnavailable, InThisProcess
from workers.checking.documents import (
    Ask,
    CheckExport,
    CheckRoom,
    CheckRun,
    Drop,
    Dropped,
    KeptData,
    MakePreview,
    MakeReport,
    Message,
    Passed,
    Place,
    Previewed,
    Question,
    Reply,
    Reported,
)
from workers.checking.lines import of_line, to_line
from workers.children.child import Child
from workers.settings import job_environment

Until = Callable[[Callable[[], object]], None]

SMALL = {"source": {"kind": "task", "examples": 8}, "held_out": 2}
RUN = RunSpec.parse({"data": SMALL})


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    checker = Beside(lambda: job_environment(threads=1))
    yield checker
    checker.close()


def run_of_file(**data: Any) -> RunSpec:
    return RunSpec.parse({"data": {"source": {"kind": "file", "dataset": "d"}, "held_out": 0, **data}})


def error_of(checker: Checker, question: Question) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is, the caller compares
        checker.ask(question)
    return caught.value


def process_of(checker: Beside) -> int:
    assert checker.process_id
    return checker.process_id


def is_running(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_a_run_that_can_be_trained_passes_and_torch_stays_there(beside: Beside) -> None:
    assert isinstance(beside.ask(CheckRun(run=RUN, file=None)), Passed)
    assert "libtorch" in Path(f"/proc/{process_of(beside)}/maps").read_text()


def test_errors_arrive_as_they_would_be_raised_here(beside: Beside, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "p", "response": "r"}\n{"prompt": "\\u00fc"}\n')
    long = tmp_path / "long.jsonl"
    long.write_text('{"prompt": "%s", "response": "r"}\n' % ("word " * 200) * 3)
    questions = (
        CheckRun(run=run_of_file(), file=rows),
        CheckRun(run=run_of_file(max_length=16), file=long),
        CheckRun(run=run_of_file(), file=tmp_path / "gone.jsonl"),
        CheckRoom(base="tiny", items=(Item("item/1", "1+1?", "2"),), length=100_000),
        CheckExport(base="tiny", layout="published", dtype="auto", is_adapter=False),
    )
    here = InThisProcess()
    found = [error_of(beside, question) for question in questions]
    expected = [error_of(here, question) for question in questions]
    assert [type(error) for error in found] == [DataError, DataError, DataError, SpecError, SpecError]
    for one, other in zip(found, expected, strict=True):
        assert (type(one), str(one), one.problems) == (type(other), str(other), other.problems)  # type: ignore[attr-defined]
    process = process_of(beside)
    assert isinstance(beside.ask(CheckRun(run=RUN, file=None)), Passed)
    assert process_of(beside) == process, "what is refused is no reason for another process"


def test_what_the_machine_refuses_arrives_as_its_error(beside: Beside, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    question = CheckRun(run=run_of_file(), file=tmp_path / "rows.jsonl")
    one, other = error_of(beside, question), error_of(InThisProcess(), question)
    assert (type(one), str(one)) == (type(other), str(other))


def test_a_preview_is_the_same_from_both(beside: Beside) -> None:
    question = MakePreview(run=RUN, file=None, start=0, rows=3)
    found = beside.ask(question)
    assert isinstance(found, Previewed)
    assert len(found.preview.examples) == 3
    assert found == InThisProcess().ask(question)


def test_questions_are_answered_at_once_by_one_process(beside: Beside) -> None:
    beside.ask(CheckRun(run=RUN, file=None))
    process, passed = process_of(beside), []
    threads = [
        threading.Thread(target=lambda: passed.append(beside.ask(CheckRun(run=RUN, file=None)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [Passed()] * 8
    assert process_of(beside) == process


def report_on(rows: Path) -> MakeReport:
    run = run_of_file()
    return MakeReport(
        experiment=json.dumps({"run": run.model_dump(mode="json")}),
        kept=KeptData(data=run.data, file=rows),
        place=Place(directory=rows.parent, is_here=False),
        earlier=(),
        effect=0.1,
        most_characters=1_000_000,
        most_generated=2000,
    )


class GoneError(Exception):
    """The client has closed its connection."""


def gone() -> None:
    raise GoneError


def written(path: Path, rows: int) -> Path:
    path.write_text("".join(f'{{"prompt": "{"word " * 20} {row}", "response": "r"}}\n' for row in range(rows)))
    return path


def test_a_report_that_nobody_waits_for_ends_and_its_process_stays(beside: Beside, tmp_path: Path) -> None:
    beside.ask(CheckRun(run=RUN, file=None))
    process, question = process_of(beside), report_on(written(tmp_path / "rows.jsonl", 8000))
    with pytest.raises(GoneError):
        beside.ask(question, gone)
    with pytest.raises(GoneError):
        InThisProcess().ask(question, gone)
    answer = beside.ask(report_on(written(tmp_path / "few.jsonl", 20)))
    assert isinstance(answer, Reported)
    assert answer.report.ok
    assert process_of(beside) == process


def test_what_is_dropped_is_not_answered(tmp_path: Path) -> None:
    child = Child("workers.checking.process", job_environment(threads=1))
    try:
        child.write(to_line(Message(body=Ask(number=7, question=report_on(written(tmp_path / "rows.jsonl", 20))))))
        # While it still imports.
        child.write(to_line(Message(body=Drop(number=7))))
        assert of_line(Reply, child.read()) == Reply(number=0, answer=Passed())
        assert of_line(Reply, child.read()) == Reply(number=7, answer=Dropped())
    finally:
        child.end()


def test_a_process_that_is_killed_is_replaced_and_what_met_it_is_asked_again(until: Until) -> None:
    checker = Beside(lambda: job_environment(threads=1))
    passed: list[object] = []
    try:
        asking = threading.Thread(target=lambda: passed.append(checker.ask(CheckRun(run=RUN, file=None))))
        asking.start()
        until(lambda: checker.process_id)
        first = process_of(checker)
        os.kill(first, signal.SIGKILL)
        asking.join()
        assert passed == [Passed()]
        second = process_of(checker)
        assert second != first
        os.kill(second, signal.SIGKILL)
        until(lambda: not is_running(second))
        assert checker.ask(CheckRun(run=RUN, file=None)) == Passed()
    finally:
        checker.close()
    until(lambda: not is_running(process_of(checker)))


@pytest.mark.parametrize("what", ["ends", "hangs"])
def test_one_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 1\n" if what == "ends" else "#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    checker = Beside(lambda: job_environment(threads=1), start_seconds=1)
    try:
        with pytest.raises(
            CheckingUnavailable, match="ended before it" if what == "ends" else "does not start"
        ) as told:
            checker.ask(CheckRun(run=RUN, file=None))
        assert told.value.problems[0].remedy
    finally:
        checker.close()


def test_nothing_of_the_server_reaches_it(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_SECRET", "a password of the studio")
    checker = Beside(lambda: job_environment(threads=1))
    try:
        checker.warm()
        environment = Path(f"/proc/{process_of(checker)}/environ")
        assert b"a password of the studio" not in environment.read_bytes()
    finally:
        checker.close()
