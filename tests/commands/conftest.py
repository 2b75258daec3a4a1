"""`gift studio` as a person starts it, in this process, against a real server."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gift_core import cli
from tests.api.conftest import client, create, studio, trainer, url

__all__ = ["client", "create", "studio", "trainer", "url"]

ROOT = Path(__file__).parents[2]
# Arguments of `gift studio`; exit code, stdout and stderr.
Gift = Callable[..., tuple[int, str, str]]


def declared(group: str) -> list[EntryPoint]:
    """The entry points of pyproject.toml, whatever was installed when."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [EntryPoint(name, value, group) for name, value in project["entry-points"][group].items()]


@pytest.fixture
def gift(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gift:
    """Runs a command, on the server of the test unless it names another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("GIFT_KEY", raising=False)
    monkeypatch.setattr(cli, "entry_points", declared)
    monkeypatch.setenv("GIFT_SERVER", url)

    def run(*arguments: str) -> tuple[int, str, str]:
        # The command adds to the library's application each time that it starts.
        for registered in ("registered_commands", "registered_groups"):
            monkeypatch.setattr(cli.app, registered, list(getattr(cli.app, registered)))
        monkeypatch.setattr(sys, "argv", ["gift", "studio", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run
