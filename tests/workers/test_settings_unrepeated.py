"""What stands in a variable is in no error: a password may be in the wrong one, and an error is in a log for years."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.settings import Settings, SettingsError, read_settings, variable_of

ROOT = Path(__file__).parents[2]
APP = str(ROOT / "app.py")
MARKER = "pa55wordtext"
# Wherever a reader of a value may quote a part of it.
_FORMS = (
    "{}",
    "{}://host/place",
    "postgresql://me:{}@host:port/name",
    "redis://:{}@[::1/0",
    "s3://?secret={}",
    "https://me:{}@host/path",
    "https://host/?key={}",
    "http://{}/path name",
    "${}/data",
    "~{}/data",
    "{} {}",
    "1{}",
)
VARIABLES = [variable_of(name) for name in Settings.model_fields]


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_value_is_repeated_beside_an_invalid_neighbour(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    neighbour = "GIFT_PORT" if variable != "GIFT_PORT" else "GIFT_BODY_SECONDS"
    monkeypatch.setenv(neighbour, "many")
    for form in _FORMS:
        monkeypatch.setenv(variable, form.format(*[MARKER] * form.count("{}")))
        with pytest.raises(SettingsError) as refused:
            read_settings()
        assert neighbour in {problem.field for problem in refused.value.problems}
        said = f"{refused.value} {refused.value.problems!r} {refused.value.args!r}"
        assert MARKER not in said
        assert refused.value.__context__ is None, "pydantic's own error would be logged with it"


@pytest.mark.parametrize("command", [[APP], [APP, "keys", "list"], ["-m", "gift_core", "worker"]])
def test_no_value_is_printed_by_a_start_that_fails(tmp_path: Path, command: list[str]) -> None:
    """Of every variable at once, which is a mistake in most of them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIFT_")}
    planted = dict.fromkeys(VARIABLES, MARKER)
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=plain | planted | {"PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert "GIFT_PORT: " in ended.stderr, "it says which"
    assert MARKER not in ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is made of it"
