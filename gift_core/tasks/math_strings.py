r"""The older comparison of MATH answers: both spelled alike, then compared as strings.

The rules are those of the data set's authors (Hendrycks et al., 2021): no spaces, no sizes of brackets, no units,
`\dfrac` as `\frac`, `\frac12`, `1/2` and `0.5` as `\frac{1}{2}`, `\sqrt2` as `\sqrt{2}`, no `x=` before the answer.
"""

from __future__ import annotations

import re

from gift_core.tasks.notation import unmarked, visible

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\n|\\!|\\left(?![a-z])|\\right(?![a-z])|\\?\$", ""),
        (r"\\\\", r"\\"),
        (r"\\[dt]frac", r"\\frac"),
        (r"\^\{\\circ\}|\^\\circ", ""),
        # What follows such a command to the end is a unit. \text{...} without the space is an answer in words.
        (r"\\(?:text|mbox)\{ [^{}]*\}.*", ""),
        (r"\\?%", ""),
        (r"(^|[ {])\.(?=\d)", r"\g<1>0."),
        (r"^[^=]{1,2}=(?=[^=]*$)", ""),
        (r"\\sqrt\s*([^{\s\[\\])", r"\\sqrt{\1}"),
        (r"\s", ""),
        (r"\\frac([^{}\\])\{", r"\\frac{\1}{"),
        (r"\\frac([^{}\\])([^{}\\])", r"\\frac{\1}{\2}"),
        (r"(\\frac\{[^{}]*\})([^{}\\])", r"\1{\2}"),
        (r"^0\.50*$", r"\\frac{1}{2}"),
        (r"^(-?\d+)/(-?\d+)$", r"\\frac{\1}{\2}"),
    )
)


def spelled_alike(text: str) -> str:
    """The text in the spelling that equal answers share."""
    text = text.strip()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


_BASE = re.compile(r"[0-9A-Za-z]+\s*_\s*\{?\s*(\d+)\s*\}?\s*", re.ASCII)
_WRAPPER = re.compile(r"\\(?:text[a-z]{0,6}|math(?:rm|bf|it)|[mh]box)\s*\{([^{}]*)\}")


def same_text(one: str, other: str) -> bool:
    r"""Whether two answers are the same text, apart from blanks, `$`, marks, `\text{}` and a full stop at the end."""
    return _bare(one) == _bare(other) != ""


def other_base(one: str, other: str) -> bool:
    """Whether two numbers are written in different bases: math-verify does not read the base."""
    bases = [found[1] for found in map(_BASE.fullmatch, (one.strip(), other.strip())) if found]
    return len(bases) == 2 and bases[0] != bases[1]


def _bare(text: str) -> str:
    text = re.sub(r"\\[()\[\]]|\$", "", unmarked(visible(text)))
    return re.sub(r"\s+", " ", _WRAPPER.sub(r"\1", text)).strip().removesuffix(".").strip()
