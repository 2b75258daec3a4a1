"""Files and folders take the place of others so that a kill at any moment loses neither the old nor the new."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core import files
from gift_core.files import bring_back, replace_folder, write_whole
from gift_core.recovery import begin, drop_checkpoints, is_finished
from gift_core.scratch import written_beside
from gift_core.spec import RunSpec
from tests.forked import dead

# More than there are in any of these.
_STEPS = range(1, 16)


def killed_before(step: int, work: Callable[[], None]) -> bool:
    """Do the work in a process that is killed before its change of the file system with that number. Return False if it
    came to its end first."""
    child = os.fork()
    if child == 0:
        try:
            _arm(step)
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _arm(step: int) -> None:
    left = [step]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return change

    for name in ("rename", "replace", "unlink", "mkdir", "rmdir", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    for name in ("rename", "replace", "unlink", "mkdir", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    for name in ("config.json", "weights.safetensors"):
        (path / name).write_text(text)
    return path


def texts(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def write_anew(target: Path) -> None:
    with written_beside(target) as beside:
        folder(beside, "new")


@pytest.mark.parametrize("step", _STEPS)
def test_a_folder_is_the_old_or_the_new_one_whenever_the_process_is_killed(tmp_path: Path, step: int) -> None:
    target = folder(tmp_path / "checkpoint", "old")
    was_killed = killed_before(step, lambda: write_anew(target))
    bring_back(target)
    found = texts(target)
    assert found in (dict.fromkeys(found, "old"), dict.fromkeys(found, "new"))
    assert len(found) == 2
    assert was_killed or found["config.json"] == "new"
    write_anew(target)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"], "nothing is left lying about"
    assert set(texts(target).values()) == {"new"}


def test_there_are_steps_at_which_it_can_be_killed(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    seen = set()
    for step in _STEPS:
        shutil.rmtree(tmp_path, ignore_errors=True)
        tmp_path.mkdir()
        folder(target, "old")
        if not killed_before(step, lambda: write_anew(target)):
            return
        seen.add((target.exists(), target.exists() and texts(target).get("config.json") == "new"))
    pytest.fail(f"the work takes more steps than are tried: {seen}")


def test_one_that_another_process_replaces_now_is_left_to_it(tmp_path: Path) -> None:
    target = folder(tmp_path / "checkpoint", "new")
    other = folder(tmp_path / f".checkpoint.before.{os.getppid()}", "old")
    gone = folder(tmp_path / f".checkpoint.before.{dead()}", "older")
    bring_back(target)
    assert (other.exists(), gone.exists()) == (True, False)


def test_a_folder_that_came_back_in_between_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, new = folder(tmp_path / "checkpoint", "old"), folder(tmp_path / "new", "new")
    renamed = Path.rename

    def rename(path: Path, to: Path) -> Path:
        result = renamed(path, to)
        if ".before." in to.name and not hasattr(rename, "done"):
            rename.done = True  # type: ignore[attr-defined]
            bring_back(target)
        return result

    monkeypatch.setattr(Path, "rename", rename)
    replace_folder(new, target)
    assert set(texts(target).values()) == {"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_link_to_a_folder_leads_to_the_new_one(tmp_path: Path) -> None:
    folder(tmp_path / "large disk", "old")
    (tmp_path / "checkpoint").symlink_to(tmp_path / "large disk")
    write_anew(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").is_symlink()
    assert set(texts(tmp_path / "large disk").values()) == {"new"}


@pytest.mark.parametrize("step", _STEPS)
def test_a_file_is_the_old_or_the_new_one_whenever_the_process_is_killed(tmp_path: Path, step: int) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    was_killed = killed_before(step, lambda: write_whole(path, b"new"))
    assert path.read_text() == "new" if not was_killed else path.read_text() in ("old", "new")


@pytest.mark.parametrize("step", _STEPS)
def test_what_a_run_resumes_from_goes_as_a_whole(tmp_path: Path, step: int) -> None:
    (tmp_path / "result.json").write_text("{}")
    for number in (2, 4):
        folder_of = tmp_path / "trainer" / f"checkpoint-{number}"
        folder_of.mkdir(parents=True)
        (folder_of / "seal.json").write_text("{}")
    killed_before(step, lambda: drop_checkpoints(tmp_path))
    left = list((tmp_path / "trainer").glob("*")) if (tmp_path / "trainer").exists() else []
    assert len(left) in (0, 2)
    assert is_finished(tmp_path) == (not left)


def test_a_checkpoint_that_was_set_aside_is_there_again_when_a_run_begins(tmp_path: Path) -> None:
    folder(tmp_path / f".checkpoint.before.{dead()}", "old")
    begin(tmp_path, RunSpec(), None)
    assert set(texts(tmp_path / "checkpoint").values()) == {"old"}


def test_everything_is_on_the_disk_before_the_old_folder_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = folder(tmp_path / "checkpoint", "old")
    done: list[str] = []
    synced, removed = files.sync, files._remove
    monkeypatch.setattr(files, "sync", lambda path: (done.append(path.name), synced(path)))
    monkeypatch.setattr(files, "_remove", lambda path: (done.append(f"-{path.name}"), removed(path)))
    write_anew(target)
    *before, last = done
    assert last == f"-.checkpoint.before.{os.getpid()}"
    assert {"config.json", "weights.safetensors", tmp_path.name} <= set(before)
