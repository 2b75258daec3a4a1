"""A log that is read while it is written."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from workers.job_log import read_from, read_tail


@given(written=st.lists(st.text("aβ🎁\n", max_size=12), max_size=5), size=st.integers(4, 9))
def test_a_log_is_followed_without_a_gap_or_half_a_character(tmp_path_factory, written: list[str], size: int) -> None:
    path = tmp_path_factory.mktemp("job") / "log"
    read, offset = "", 0
    for text in written:
        with path.open("ab") as file:
            file.write(text.encode())
        while (part := read_from(path, offset, size)).text:
            read, offset = read + part.text, part.next
    assert read == "".join(written)
    assert offset == len(read.encode())


def test_a_character_that_is_half_written_comes_when_it_is_whole(tmp_path: Path) -> None:
    path, gift = tmp_path / "log", "🎁".encode()
    path.write_bytes(b"a" + gift[:2])
    assert read_from(path, 0, 100).next == 1
    path.write_bytes(b"a" + gift)
    assert read_from(path, 1, 100).text == "🎁"


def test_a_piece_shorter_than_a_character_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes("🎁".encode())
    assert read_from(tmp_path / "log", 0, 1).next == 1


def test_the_end_of_a_log_says_where_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    found = read_tail(tmp_path / "log", 4)
    assert (found.text, found.next) == ("two\n", 8)
    assert read_from(tmp_path / "log", 10**9, 4).next == 10**9
    missing = read_tail(tmp_path / "nowhere", 4)
    assert (missing.text, missing.next) == ("", 0)
