"""Marks of the studio's secret: each store has a salt of its own, and a mark says nothing without it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from workers.access.secret_marks import SecretMarks
from workers.database import Database

SECRET = "one-secret-of-two-studios"


def test_the_same_secret_has_another_mark_in_another_store(tmp_path: Path) -> None:
    with ExitStack() as held:
        first, second = (
            held.enter_context(closing(Database.in_file(tmp_path / f"{name}.sqlite3"))) for name in ("first", "second")
        )
        mark = SecretMarks(first, SECRET).make()
        assert SecretMarks(first, SECRET).fits(mark)
        assert SecretMarks(second, SECRET).make() != mark
        assert not SecretMarks(second, SECRET).fits(mark)
        assert not SecretMarks(first, SECRET + "!").fits(mark)
        assert not SecretMarks(first, None).fits(mark)
