r"""The one number that an answer is, if it is one.

A reference and a response are read by the same rule: the whole text has exactly one numeric value, apart from units and
words, or it is no number. A part of an expression is never its value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gift_core.tasks.expressions import parse, value_of
from gift_core.tasks.notation import Rule, applied, from_latex, plain_characters, rules, unmarked, visible
from gift_core.tasks.prose import keep_value, multiplier
from gift_core.tasks.tokens import Token, tokenise
from gift_core.tasks.units import closed, without_units

# No reference answer has a tenth of that. Longer texts are no answers and are not read.
LONGEST = 1000


@dataclass(frozen=True)
class Number:
    """A number as it is written in a text, and its exact value."""

    text: str
    value: Fraction


def number_in(text: str) -> Number | None:
    r"""The number that the text is, apart from units and words; None unless it is exactly one.

    `2\frac{1}{2}`, `5^2`, `3 \cdot 6`, `1e3`, `\sqrt{16}`, `1,200`, `0.\overline{3}`, `$5.00`, `50%` (50) and
    `about 7 miles` are one number. `3 and 4`, `[3,4]`, `3:4`, `3-4`, `x > 3`, `2x` and `1,20` are not. Of an equation
    such as `x = 3 \cdot 6 = 18` the right side counts.
    """
    if len(text) > LONGEST:
        return None
    text = visible(text)
    plain = applied(_PROSE, _unwrapped(from_latex(plain_characters(unmarked(text)))))
    if len(plain) > 2 * LONGEST or _OTHER.search(plain) or _is_list(tokenise(plain)):
        return None
    sides = [side for side in re.split("[=≈]", plain) if side.strip()]
    while len(sides) > 1 and not re.search(r"\d", sides[-1]):
        # 5 = x says what x = 5 says.
        sides.pop()
    if not sides:
        return None
    found = _single(sides[-1])
    if found is None or not all(_leads_to(found.value, side) for side in sides[1:-1]):
        return None
    if len(sides) > 1 and (_SENTENCES.search("=".join(sides[:-1])) or _is_unsolved(tokenise(sides[0]))):
        return None
    return found if found.text else Number(text, found.value)


def _unwrapped(text: str) -> str:
    """The text without braces around all of it."""
    while (wrapped := _BRACES.fullmatch(text)) and "}" not in wrapped[1].partition("{")[0]:
        if wrapped[1].count("{") != wrapped[1].count("}") or _CLOSED_EARLY.search(wrapped[1]):
            break
        text = wrapped[1]
    return text


_BRACES = re.compile(r"\s*\{(.*)\}\s*", re.DOTALL)
# Braces that end and begin again may be two groups.
_CLOSED_EARLY = re.compile(r"\}[^{}]*\{")
# Words that are part of a number, or belong to its unit.
_PROSE: tuple[Rule, ...] = rules(
    (r"\s*\n\s*|[—―](?=\s)", " ; "),
    (r"^[\s;]*(?:=+>|⇒|→|∴|\\(?:Rightarrow|rightarrow|implies|therefore)(?![A-Za-z]))", " "),
    (r"(?i)\b(\d+)\s+and\s+(?:a|one)[\s-]half\b", r" \1 1/2 "),
    (r"(?i)(?<=\d)\s+and\s+(?=\d+\s*/\s*\d+(?![\d/])|\\frac)", " "),
    (r"(?i)\b(?:minus|negative)\s+(?=[\d.])", " -"),
    (r"(?i)(?<=[\d)}])\s+squared\b", "^2"),
    (r"(?i)(?<=[\d)}])\s+cubed\b", "^3"),
    (r"(?<=\d)\s?(?:\^\s*)?[{\s]*(?:st|nd|rd|th)s?\b(?:\s*\}){0,2}", " "),
    (r"(?<![A-Za-z0-9])(?:(?:US|AU?|CA?|NZ|HK|S)(?=\t)|(?:USD|EUR|GBP|Rs\.?))(?=\s*-?[\d.])", " "),
    (r"°\s*[CFK]\b", "°"),
    # A full hour is its number; 3:45 is none.
    (r"(?i)(?<![\d:.])(\d{1,2})(?::00(?![\d:])|(?::00)?\s*[ap]\.?\s?m\b\.?)", r"\1"),
    (r"(?i)(?<=\d)\s*[ap]\.?\s?m\b\.?|(?<=\d)\s+o'clock\b", " "),
    (r"(?i)(?<![A-Za-z\\])sqrt(?=\s*[({\d])", r"\\sqrt"),
    (r"^[\s#]*#+\s|^\s*[*]\s+(?=\S)|^\s*\(?[A-E][).]\s+(?=\S)", " "),
)
# Comparisons, sets, ratios and clock times, dates, telephone numbers, and what commas leave open: (1,200) may be a
# point, and 1,20 a list or a decimal.
_OTHER = re.compile(
    r"""[<>≤≥≠±∓∈∪∞|] | ^[^A-Za-z]*\d[\s)}]*!
      | \\(?:pm|mp|l[et]|g[et]|leq|geq|neq?|in|cup|cap|infty|mid|[lr]?vert|mapsto|[bp]?mod)(?![A-Za-z])
      | \d\s*:\s*\d
      | [(\[]\s*-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?\s*[)\]]
      | (?<![\d.])(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}([-/.])\d{1,2}\1\d{2,4})(?![\d.])
      | (?<!\d)(?:\d{3}[-.\ ])?\d{3}-\d{4}(?!\d)|\(\d{3}\)\s*\d{3}-\d{4}""",
    re.ASCII | re.VERBOSE,
)
_SENTENCES = re.compile(r"\d[^\d=]*[.!?]\s+\w", re.ASCII)
_SPACED = re.compile(r"[-+\t~ ]*[1-9]\d{0,2}(?: \d{3})+(?:\.\d+)?[^\d/^*+(\\]*", re.ASCII)
# A date, or divisions without brackets.
_UNCLEAR = re.compile(r"\d\s*/\s*\d+\s*/\s*\d", re.ASCII)
_SEPARATORS = (",", ";", "&")
_JOINTS = ("and", "or", "to")
_OPERATORS = ("+", "-", "–", "*", "/", "^")


def _is_list(tokens: Sequence[Token]) -> bool:
    """Whether a separator, or a word such as `and`, has numbers on both sides."""
    kinds = "".join(
        "0" if token.kind == "number" else "," if token.text in _SEPARATORS or token.text.lower() in _JOINTS else ""
        for token in tokens
    )
    return re.search("0,+0", kinds) is not None


def _leads_to(value: Fraction, side: str) -> bool:
    """Whether a side in the middle of an equation is a step to its value, and not where another equation begins."""
    found = _single(side)
    if found is None:
        return not re.search(r"\d[.,;\s]+[^\W\d]", side)
    return found.value == value or not re.search(r"\d.*[^\W\d]", side)


def _is_unsolved(tokens: Sequence[Token]) -> bool:
    """Whether numbers and variables are computed with, as in 2x + 3: what that equals is no answer yet."""
    if not any(token.kind == "number" for token in tokens):
        return False
    return any(
        token.kind == "name"
        and len(token.text) == 1
        and (
            (before is not None and (before.text in _OPERATORS or (before.kind == "number" and not token.spaced)))
            or (after is not None and after.text in _OPERATORS)
        )
        for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False)
    )


def _single(side: str) -> Number | None:
    """The value of one side; `text` is "" if it is more than a plain number."""
    if _SPACED.fullmatch(side):
        side = re.sub(r"(?<=\d) (?=\d{3})", "", side)
    if _UNCLEAR.search(side):
        return None
    tokens = without_units(closed(tokenise(side)))
    numeric = [at for at, token in enumerate(tokens) if token.kind in ("number", "sign")]
    if not numeric:
        return None
    before, core, after = tokens[: numeric[0]], tokens[numeric[0] : numeric[-1] + 1], tokens[numeric[-1] + 1 :]
    words_before, words_after = _names_beside(before, after)
    if not _is_computable(before, core, after) or not keep_value(words_before, words_after):
        return None
    if core[0].text == "–":
        core[0] = Token("sign", "-", core[0].spaced)
    tree = parse(core)
    value = None if tree is None else value_of(tree)
    if value is None:
        return None
    factor = multiplier(words_after)
    return Number(_written(core) if factor == 1 else "", value * factor)


def _written(core: Sequence[Token]) -> str:
    """A plain number as it is written, without brackets; "" for anything else."""
    written = [token.text for token in core if token.text not in ("(", "[", "{", ")", "]", "}")]
    match written:
        case [number] | ["-", number] if "⟨" not in number:
            return "".join(written)
    return ""


def _is_computable(before: Sequence[Token], core: Sequence[Token], after: Sequence[Token]) -> bool:
    """Whether the tokens are known, and those before a number leave its sign and its brackets what they seem."""
    if any(token.kind == "unknown" for token in (*before, *core, *after)):
        return False
    numbers = [token for token in core if token.kind == "number"]
    if len(numbers) > 1 and any(token.is_whole and len(token.text) > 1 and token.text[0] == "0" for token in numbers):
        return False
    if _is_range(core):
        return False
    first = core[0]
    if first.text in ("(", "[") and not first.spaced and before and before[-1].kind == "name":
        # A function of a number is another number.
        return False
    if first.text not in ("+", "-", "–") or not any(token.kind == "name" for token in before):
        return True
    # "is -5" has a sign; of "Total - 5" and "COVID-19" it is unclear.
    return first.text != "+" and first.spaced and len(core) > 1 and not core[1].spaced


def _is_range(core: Sequence[Token]) -> bool:
    """Whether a hyphen may join two bounds, as in 3-4, or a number and its fraction, as in 2-1/2."""
    tokens = [token for token in core if token.text not in ("(", "[", "{", ")", "]", "}")]
    if [token.is_whole or token.text for token in tokens] == [True, "-", True]:
        return tokens[0].value < tokens[2].value
    return [token.is_whole or token.text for token in tokens] == [True, "-", True, "/", True] and not tokens[1].spaced


def _names_beside(before: Sequence[Token], after: Sequence[Token]) -> tuple[list[str], list[str]]:
    """The words before and after a number: a colon ends a label, and a comma or full stop a statement."""
    return (
        [] if before and before[-1].kind == "mark" else [token.text for token in before if token.kind == "name"],
        [] if after and after[0].kind == "mark" else [token.text for token in after if token.kind == "name"],
    )
