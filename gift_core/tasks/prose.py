"""Words around a number: units that do not change it, multipliers that do, and words after which it is no value."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MULTIPLIERS: Mapping[str, int] = MappingProxyType(
    {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
)
# Any other single letter beside a number is a variable.
_UNIT_LETTERS = frozenset("mgshlL")
_FUNCTIONS = _words(
    "sin cos tan cot sec csc arcsin arccos arctan log ln lg exp abs floor ceil mod lim gcd lcm det root cbrt"
)
_CONSTANTS = _words("pi inf infinity infty nan phi tau")
_CARDINALS = _words(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety half halves"
)
_PARTS = _words(
    "third thirds fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths "
    "twelfths twentieths hundredth hundredths thousandth thousandths"
)
_MONTHS = _words(
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec January February March April May June July August September "
    "October November December"
)
# 5万 is 50,000.
_CHINESE_NUMBERS = frozenset("十百千万萬億亿兆半")
_OPERATIONS = _words("plus minus times over divided multiplied and or to through between versus vs")
_BOUNDS_BEFORE = _words("than least most over under above below not exceeding")
_BOUNDS_AFTER = _words("more less fewer higher greater above up over larger smaller lower")


def multiplier(after: Sequence[str]) -> int:
    """What the words directly after a number multiply it by: `5 hundred thousand` is 500,000."""
    factor = 1
    for word in after:
        if word.lower() not in _MULTIPLIERS:
            break
        factor *= _MULTIPLIERS[word.lower()]
    return factor


def keep_value(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a number is the value of a text with these words before and after it, nearest to it first and last."""
    lower_before, lower_after = [word.lower() for word in before], [word.lower() for word in after]
    while lower_after and lower_after[0] in _MULTIPLIERS:
        after, lower_after = after[1:], lower_after[1:]
    return not (
        (before and _changes_from_before(before[-1]))
        # "18 a day" has a unit, "2 a" a variable.
        or (after and _changes_from_after(after[0]) and not (lower_after[0] == "a" and len(after) > 1))
        or lower_before[-2:] == ["up", "to"]
        or (len(lower_after) > 1 and lower_after[0] in ("or", "and") and lower_after[1] in _BOUNDS_AFTER)
        or _joins_a_number(lower_before[::-1])
        or _joins_a_number(lower_after)
    )


def is_unit(word: str) -> bool:
    """Whether a word after a number, or after a slash, can be a unit and not a variable."""
    return len(word) > 1 or word in _UNIT_LETTERS or unicodedata.category(word) == "Lo"


def _changes_from_before(word: str) -> bool:
    # The article stands before a number of another thing: a 5 dollar bill.
    letter = len(word) == 1 and word.isascii() and word not in "aAI"
    named = any(map(str.isdigit, word)) or "_" in word
    lower = word.lower()
    return letter or named or word in _MONTHS or lower in _FUNCTIONS | _CONSTANTS | _BOUNDS_BEFORE | _PARTS


def _changes_from_after(word: str) -> bool:
    named = any(map(str.isdigit, word)) or "_" in word
    lower = word.lower()
    return (
        not is_unit(word)
        or named
        or word[0] in _CHINESE_NUMBERS
        or word in _MONTHS
        or lower in _CONSTANTS | _PARTS | {"squared", "cubed", "factorial"}
    )


def _joins_a_number(words: Sequence[str]) -> bool:
    """Whether a number in words is the next thing, or is joined to by `and`, `or`, `to`, `times` and such."""
    for word in words:
        if word in _CARDINALS or word in _MULTIPLIERS:
            return True
        if word not in _OPERATIONS | {"a", "an", "one", "by", "of"}:
            # Coins are counted in quarters; "and a quarter" is a part.
            return word in _PARTS | {"quarter"} and words[0] in ("and", "a")
    return False
