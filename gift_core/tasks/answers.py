"""What a response answers: its boxes, its answer tags and the numbers in them.

One pass over the text each, however long it is and whatever stands in it: a scorer reads what a model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

# No reference answer has a tenth of that. What is longer is no answer, and is not looked into.
LONGEST = 1000
_OPEN, _CLOSE = "<answer>", "</answer>"
_BRACES = re.compile(r"\\boxed\s*\{|\\[{}]|[{}]")
# On the stack of open braces: one that opens no box.
_PLAIN = -1


def boxes(text: str) -> list[str]:
    r"""What stands in each `\boxed{}`, in the order in which they open; a box in a box comes after it.

    Braces inside are matched, escaped ones are text. A box that is never closed is none: where it would end is a guess,
    and the answer tags around it are read instead.
    """
    opened: list[int] = []
    found: list[tuple[int, int]] = []
    for brace in _BRACES.finditer(text):
        if brace[0] == "}":
            start = opened.pop() if opened else _PLAIN
            if start != _PLAIN and brace.start() - start <= LONGEST:
                found.append((start, brace.start()))
        elif brace[0] not in (r"\{", r"\}"):
            opened.append(_PLAIN if brace[0] == "{" else brace.end())
    return [text[start:end].strip() for start, end in sorted(found)]


def tagged(text: str) -> str | None:
    """The text from the last `<answer>` to its `</answer>`, or to the end of the text; None without a tag."""
    start = text.rfind(_OPEN)
    if start < 0:
        return None
    start += len(_OPEN)
    end = text.find(_CLOSE, start)
    return text[start : len(text) if end < 0 else end].strip()


def boxed_or_tagged(text: str) -> str:
    """The last box, else the text in the answer tags; "" where there is neither, or it is too long to be an answer."""
    found = boxes(text)
    answer = found[-1] if found else tagged(text) or ""
    return answer if len(answer) <= LONGEST else ""


@dataclass(frozen=True)
class Number:
    """A number as it stands in a text, and its exact value."""

    text: str
    value: Fraction


def number_answer(text: str) -> Number | None:
    """The first number in a box, else the last one in the answer tags; None where there is neither.

    Of `x = 3 \\cdot 6 = 18` what stands after the last `=` counts.
    """
    for box in boxes(text):
        found = number_in(box, last=False)
        if found:
            return found
    # The last number stands at the end, and what is longer than that is none.
    return number_in((tagged(text) or "")[-LONGEST:], last=True)


def number_in(text: str, *, last: bool) -> Number | None:
    """The number that the text is; else the first or the last of those that stand in it.

    `1,200`, `$1,200.50`, `-3`, `3/4`, `\\frac{3}{4}`, `50%` (50) are numbers anywhere, `1 200` only where it is the
    whole text: in a sentence it may be two.
    """
    plain = _plain(text)
    after = plain.rsplit("=", 1)[-1].strip()
    for candidate in (after, plain):
        whole = _SPACED.fullmatch(candidate)
        found = [Number(candidate, Fraction(_digits(candidate)))] if whole else list(_numbers(candidate))
        if found:
            return found[-1 if last else 0]
    return None


_INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d+)?|(?<!\d)\.\d+)"
# A sign stands where no sum can: 16-3 holds 16 and 3.
_NUMBER = re.compile(rf"(?:(?<![\w)}}])-)?{_DECIMAL}(?:\s?/\s?{_DECIMAL})?", re.ASCII)
_SPACED = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?", re.ASCII)
# Python's own limit on digits is far above; nobody's answer is.
_LONGEST_NUMBER = 60
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SPELLINGS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_FRACTION, r"\1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)(?!\d)"), r"\1/\2"),
    (re.compile(r"^-\s+(?=\d)"), "-"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[!,;:]|\\?[$€£%]|\*\*"), ""),
    (re.compile(r"[\u00a0\u2009\u202f~]|\\ "), " "),
    (re.compile(r"[−–]"), "-"),
)


def _plain(text: str) -> str:
    """The text without the signs and commands that stand in and around numbers."""
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text.strip()


def _numbers(text: str) -> Iterator[Number]:
    for found in _NUMBER.finditer(text):
        if len(found[0]) > _LONGEST_NUMBER:
            continue
        above, _, below = _digits(found[0]).partition("/")
        if not below:
            yield Number(found[0], Fraction(above))
        elif Fraction(below):
            yield Number(found[0], Fraction(above) / Fraction(below))


def _digits(number: str) -> str:
    return re.sub(r"[\s,]", "", number)
