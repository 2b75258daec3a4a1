"""Text from outside, such as names, cells of a table and lines of a log, as a terminal may print it.

A terminal obeys escape sequences: they move the cursor, rename the window, and hide or forge what is printed.
Characters that change the order of others do so in any program.
"""

from __future__ import annotations

import re
from unicodedata import category

# Control and format characters, halves of surrogate pairs, separators of lines and paragraphs.
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# They join letters and emoji, and do nothing else.
_JOINERS = frozenset("\u200c\u200d")
_LAYOUT = frozenset("\n\t")
# What JSON leaves as it is.
_LEFT_BY_JSON = re.compile("[\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def escaped(text: str) -> str:
    """Return the text with control characters as `\\x1b` or `\\u202e`; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_harmless(character) else _code(character) for character in text)


def escaped_line(text: str) -> str:
    """The same on one line: a line break becomes `\\n`, so the text cannot begin a line of its own."""
    return escaped(text).replace("\n", "\\n")


def escaped_log(text: str) -> str:
    """The same for a part of a program's log, in which a carriage return begins a line anew: it gets one of its own."""
    return escaped(text.replace("\r\n", "\n").replace("\r", "\n"))


def escaped_json(text: str) -> str:
    """The same for a JSON document, which means what it meant before."""
    return _LEFT_BY_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _is_harmless(character: str) -> bool:
    return character in _LAYOUT or character in _JOINERS or category(character) not in _OBEYED


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
