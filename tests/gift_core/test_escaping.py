"""Text from outside is printed so that no terminal obeys it, and no log takes it for a line of its own."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gift_core.escaping import escaped, escaped_json, escaped_line, escaped_log
from tests.gift_core.conftest import Here

OBEYED = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.\u2066\r"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé 漢字　の 👩‍🔬", "plain, ünïcödé 漢字　の 👩‍🔬"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("file\u202egnp.exe", "file\\u202egnp.exe"),
        ("\ud83d half", "\\ud83d half"),
        ("\U000e0041 tag", "\\U000e0041 tag"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
@example(OBEYED)
def test_nothing_is_left_that_is_obeyed(text: str) -> None:
    for shown in (escaped(text), escaped_log(text)):
        left = {character for character in shown if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert left <= {"\n", "\t", "\u200c", "\u200d"}
    assert len(escaped_line(text).splitlines()) <= 1


def test_a_progress_bar_in_a_log_is_a_line_for_each_state() -> None:
    assert escaped_log("\r 10%\r 20%\r\ndone\n") == "\n 10%\n 20%\ndone\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@example(OBEYED)
def test_json_means_what_it_meant(text: str) -> None:
    shown = escaped_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(shown) == {"name": text}
    assert not {"\x1b", "\x9b", "\x7f", "\u202e", "\u2066", "\u2028"} & set(shown)


def test_a_data_set_cannot_speak_to_the_terminal(gift_here: Here) -> None:
    """Its name of a column, a value, a role, a problem of a row."""
    rows = [
        {"prompt": "a" + OBEYED, "response": "b" + OBEYED, "note" + OBEYED: 1},
        {"prompt": "a", "response": None, "note" + OBEYED: OBEYED},
    ]
    for number, content in enumerate((rows, rows[:1], [{"prom\x1b[31mpt": "a", "response": "b"}])):
        path = Path(f"rows{number}.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
        for more in ([], ["--json"]):
            _, said, complaint = gift_here("check-data", path.name, *more)
            assert said + complaint
            assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\r"} & set(said + complaint)
