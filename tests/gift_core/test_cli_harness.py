from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.errors import SpecError


def test_without_the_extra_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delitem(sys.modules, "gift_core.harness", raising=False)
    result = CliRunner().invoke(app, ["lm-eval", "--tasks", "gsm8k"])
    assert isinstance(result.exception, SpecError)
    assert "gift-studio[harness]" in str(result.exception)
