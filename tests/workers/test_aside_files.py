"""Setting files aside and bringing them back, broken off between any two steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core.recovery import seal
from gift_core.spec import RunSpec
from workers.lifecycle import aside
from workers.records import Job
from workers.sharing import Sharing


class CrashError(Exception):
    """The process is killed."""


@pytest.fixture
def crash_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have the process die before its rename or unlink with that number, counted from now on."""

    def arm(number: int) -> None:
        done = [0]

        def counting(name: str) -> None:
            real = getattr(Path, name)

            def method(self: Path, *arguments: object, **named: object) -> object:
                done[0] += 1
                if done[0] == number:
                    raise CrashError
                return real(self, *arguments, **named)

            monkeypatch.setattr(Path, name, method)

        monkeypatch.undo()
        for name in ("rename", "replace", "unlink", "mkdir", "rmdir"):
            counting(name)

    return arm


OLD = {"trainer": "old", "checkpoint": "old", "metrics.jsonl": "old"}


@pytest.mark.parametrize("number", range(1, 12))
def test_setting_aside_may_break_off_anywhere(tmp_path: Path, crash_at: Callable[[int], None], number: int) -> None:
    for name, text in OLD.items():
        (tmp_path / name).write_text(text)
    crash_at(number)
    for _ in range(2):
        try:
            aside.put_aside(tmp_path, 1, 3)
        except CrashError:
            continue
    assert aside.seal_of(tmp_path) == aside.Seal(1, 3)
    assert {path.name: path.read_text() for path in (tmp_path / "aside").iterdir() if path.name in OLD} == OLD
    assert aside.outputs(tmp_path) == []


@pytest.mark.parametrize("number", range(1, 14))
@pytest.mark.parametrize("is_recorded", [True, False], ids=["asked again", "found by the next attempt"])
def test_bringing_back_may_break_off_anywhere(
    tmp_path: Path, crash_at: Callable[[int], None], number: int, is_recorded: bool
) -> None:
    for name, text in OLD.items():
        (tmp_path / name).write_text(text)
    aside.put_aside(tmp_path, 1, 3)
    for name in ("trainer", "metrics.jsonl", "reports-4.jsonl"):
        (tmp_path / name).write_text("new")
    (tmp_path / "reports-3.jsonl").write_text("old")
    crash_at(number)
    for _ in range(2):
        try:
            if is_recorded:
                aside.put_back(tmp_path, 1, 3)
            else:
                aside.settle(tmp_path, 1)
        except CrashError:
            continue
    left = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert left == OLD | {"reports-3.jsonl": "old"}


def test_what_another_host_has_dropped_is_not_brought_back(tmp_path: Path) -> None:
    (tmp_path / "trainer").write_text("old")
    aside.put_aside(tmp_path, 1, 3)
    (tmp_path / "trainer").write_text("new")
    aside.remove(aside.settle(tmp_path, 4))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"trainer": "new"}


def test_what_another_host_has_left_replaces_what_is_set_aside_here(tmp_path: Path) -> None:
    there, here = (Sharing(tmp_path / host, f"file://{tmp_path / 'bucket'}") for host in ("there", "here"))
    old, new = (tmp_path / host / "runs" / "run_1" / "trainer" for host in ("here", "there"))
    for checkpoint in (old / "checkpoint-5", new / "checkpoint-8"):
        checkpoint.mkdir(parents=True)
        (checkpoint / "weights").write_text(checkpoint.name)
        seal(checkpoint)
    aside.put_aside(old.parent, 1, 1)
    # The other host began at step 0 with the second attempt, and has let go of the first.
    job = Job(id="run_1", label="", spec=RunSpec().model_dump(mode="json"), attempt=3, first_attempt=2)
    there.keep(job)
    here.bring(job)
    assert aside.settle(old.parent, job.first_attempt) == []
    assert [path.name for path in old.parent.rglob("*") if path.is_dir()] == ["trainer", "checkpoint-8"]
    assert (old / "checkpoint-8" / "weights").read_text() == "checkpoint-8"


def test_what_was_set_aside_later_is_not_dropped_in_place_of_the_earlier(tmp_path: Path) -> None:
    (tmp_path / "trainer").write_text("old")
    aside.put_aside(tmp_path, 2, 2)
    assert aside.drop_aside(tmp_path, 1) == []
    assert (tmp_path / "aside" / "trainer").exists()
    aside.remove(aside.drop_aside(tmp_path, 2))
    assert list(tmp_path.iterdir()) == []
