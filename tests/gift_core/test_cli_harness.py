from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.errors import SpecError


def test_without_the_extra_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its parts too: what another test has imported would be found without it.
    for name in ["lm_eval", *(name for name in sys.modules if name.startswith("lm_eval."))]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "gift_core.harness", raising=False)
    result = CliRunner().invoke(app, ["lm-eval", "--tasks", "gsm8k"])
    assert isinstance(result.exception, SpecError)
    assert "gift-studio[harness]" in str(result.exception)
