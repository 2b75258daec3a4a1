"""Reading a log while it is written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

_decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True)
class LogPart:
    """A piece of a log, and the byte at which the next one begins."""

    text: str
    next: int


def read_tail(path: Path, size: int) -> LogPart:
    """The last `size` bytes; nothing where there is no file."""
    try:
        end = path.stat().st_size
    except FileNotFoundError:
        return LogPart("", 0)
    return read_from(path, max(0, end - size), size)


def read_from(path: Path, start: int, size: int) -> LogPart:
    """At most `size` bytes from `start` on, without a character that is not yet whole; nothing past the end."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size)
    except FileNotFoundError:
        data = b""
    return part_of(data, start)


def part_of(data: bytes, start: int) -> LogPart:
    """Bytes of a log that begin at `start`, without a character at their end that is not yet whole."""
    decoder = _decoder("replace")
    text = decoder.decode(data)
    unread = len(decoder.getstate()[0])
    if unread == len(data):
        # A piece shorter than its first character is passed on as it is, or nobody would ever get beyond it.
        text, unread = decoder.decode(b"", final=True), 0
    return LogPart(text, start + len(data) - unread)
