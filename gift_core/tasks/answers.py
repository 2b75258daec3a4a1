"""What a response answers: its boxes, its answer tags and the number in them.

One pass over the text each, however long it is and whatever it holds: a scorer reads what a model wrote.
"""

from __future__ import annotations

import re

from gift_core.tasks.notation import visible
from gift_core.tasks.numbers import LONGEST, Number, number_in

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
    return [visible(text[start:end]) for start, end in sorted(found)]


def tagged(text: str) -> str | None:
    """The text from the last `<answer>` to its `</answer>`, or to the end of the text; None without a tag."""
    start = text.rfind(_OPEN)
    if start < 0:
        return None
    start += len(_OPEN)
    end = text.find(_CLOSE, start)
    return visible(text[start : len(text) if end < 0 else end])


def boxed_or_tagged(text: str) -> str:
    """The last box, else the text in the answer tags; "" where there is neither, or it is too long to be an answer."""
    found = boxes(text)
    answer = found[-1] if found else tagged(text) or ""
    return answer if len(answer) <= LONGEST else ""


def number_answer(text: str) -> Number | None:
    """The number that a response answers with; None if it gives none, or no single one.

    The first box with a digit counts, else the answer tags. If the response has neither, the text after its last `####`
    counts, the form in which GSM8K writes its answers.
    """
    found = boxes(text)
    for box in found:
        if any(map(str.isnumeric, box)):
            return number_in(box)
    answer = tagged(text)
    if answer is not None:
        # An answer of another length is none, and its end would be a part of it.
        return number_in(answer)
    return None if found else number_in(after_marks(text) or "")


def after_marks(text: str) -> str | None:
    """The line after the last `####`, GSM8K's mark of an answer; None without one."""
    _, mark, after = text.rpartition("####")
    return visible(after[: LONGEST + 1]).split("\n")[0].rstrip() if mark else None
