"""A path in a setting means what it means in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from gift_core.config.paths import PathError, absolute_path, expand_path


def test_home_and_variables_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("SCRATCH", "/scratch")
    assert expand_path("~/data") == Path("/home/someone/data")
    assert expand_path("$SCRATCH/data") == Path("/scratch/data")
    assert expand_path("${SCRATCH}data") == Path("/scratchdata")
    assert expand_path("a~b/data") == Path("a~b/data")
    assert expand_path(Path("data")) == Path("data")


@pytest.mark.parametrize("written", ["$NOWHERE/data", "${NOWHERE}", "~nobody-of-this-name/data", "a\0b"])
def test_what_does_not_exist_is_not_taken_for_a_folders_name(written: str) -> None:
    with pytest.raises(PathError):
        expand_path(written)


def test_a_place_is_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert absolute_path("cache") == str(tmp_path / "cache")
    assert absolute_path("~/cache") == "/home/someone/cache"
    assert absolute_path("/a:/b") == "/a:/b"
    assert absolute_path("$NOWHERE/x") == "$NOWHERE/x"
