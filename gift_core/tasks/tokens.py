r"""Tokens of arithmetic and of the prose around it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gift_core.tasks.notation import Rule, applied, rules

Kind = Literal["number", "name", "sign", "mark", "unknown"]

# More digits than any answer has; Python's own limit is far above.
_LONGEST_NUMBER = 60
_LARGEST_EXPONENT = 300
_SPELLINGS: tuple[Rule, ...] = rules(
    # \frac12 takes one digit each, and \frac123 is not what anyone means.
    (r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d)\s*(?=\{)", r"\\frac{\1}"),
    # Recurring digits: \overline{3}, \bar3, an overline on each digit, or a dot on the first and the last.
    ("((?:\\d[\u0304\u0305])+)", lambda found: f"⟨{re.sub('[^0-9]', '', found[0])}⟩"),
    ("\\d\u0307(?:\\d*\\d\u0307)?", lambda found: f"⟨{found[0].replace(chr(0x307), '')}⟩"),
    (r"\\(?:overline|widebar|bar)\s*(?:\{\s*(\d+)\s*\}|(\d)(?!\d))", lambda found: f"⟨{found[1] or found[2]}⟩"),
    (
        r"\\dot\s*\{?\s*(\d)\s*\}?(?:(\d*)\\dot\s*\{?\s*(\d)\s*\}?)?",
        lambda found: f"⟨{''.join(part or '' for part in found.groups())}⟩",
    ),
    (r"\{\s*(⟨\d+⟩)\s*\}", r"\1"),
    (r"\.\((\d+)\)", r".⟨\1⟩"),
    (r"\{\s*\}", " "),
)
_NUMBER = r"""
    (?: (?P<whole> (?<![0-9,.]) [1-9][0-9]{0,2} (?:,[0-9]{3})+ (?!,?[0-9]) | [0-9]+ )
        (?: \. (?P<decimals> [0-9]+ (?:⟨[0-9]+⟩)? | ⟨[0-9]+⟩ ) )?
      | \. (?P<only> [0-9]+ (?:⟨[0-9]+⟩)? ) )
    (?P<exponent> [eE][+-]?[0-9]{1,4}(?!\w|\.\d) )?
    (?P<dots> \s?\.{3,} )?"""
_TOKEN = re.compile(
    rf"""(?P<number>{_NUMBER})
      | (?P<name>[^\W\d_]\w*)
      | (?P<command>\\[A-Za-z]+)
      | (?P<sign>\*\*|[-–+*/^()\[\]{{}}])
      | (?P<mark>\.{{2,}}|[.?!:,;&%°\#'"])
      | (?P<other>\S)""",
    re.VERBOSE,
)
_COMMANDS = ("\\frac", "\\sqrt", "\\over")


@dataclass(frozen=True)
class Token:
    """A piece of a text. `spaced` tells whether a blank stands before it; `value` is 0 unless it is a number."""

    kind: Kind
    text: str
    spaced: bool
    value: Fraction = Fraction(0)

    @property
    def is_whole(self) -> bool:
        """Whether it is a number in digits only."""
        return self.kind == "number" and self.text.isdigit()


def tokenise(text: str) -> list[Token]:
    """The tokens of a text in plain signs, as `from_latex` leaves it."""
    text = applied(_SPELLINGS, text)
    tokens: list[Token] = []
    end = 0
    for found in _TOKEN.finditer(text):
        tokens.append(_token(found, spaced=found.start() > end or not tokens))
        end = found.end()
    return tokens


def _token(found: re.Match[str], *, spaced: bool) -> Token:
    text = found[0]
    if found["number"]:
        value = _number(found)
        return Token("unknown", text, spaced) if value is None else Token("number", text, spaced, value)
    if found["name"]:
        return Token("name", text, spaced)
    if found["sign"] or text in _COMMANDS:
        return Token("sign", "^" if text == "**" else text, spaced)
    # A picture in a text is no more than punctuation.
    is_mark = found["mark"] or (len(text) == 1 and unicodedata.category(text) == "So")
    return Token("mark" if is_mark else "unknown", text, spaced)


def _number(found: re.Match[str]) -> Fraction | None:
    """The exact value of a number; None if it is too long, or goes on in a way that is a guess."""
    if len(found[0]) > _LONGEST_NUMBER:
        return None
    decimals, _, repeated = (found["decimals"] or found["only"] or "").rstrip("⟩").partition("⟨")
    if found["dots"] and not repeated:
        # 0.333... and 0.1666... are thirds and sixths; 0.3... and 3.14... could be anything.
        recurring = re.fullmatch(r"(\d*?)(\d+?)\2\2+", decimals)
        if recurring is None:
            return None
        decimals, repeated = recurring.groups()
    value = Fraction(int((found["whole"] or "0").replace(",", "") + decimals), 10 ** len(decimals))
    if repeated:
        value += Fraction(int(repeated), (10 ** len(repeated) - 1) * 10 ** len(decimals))
    power = int((found["exponent"] or "e0")[1:])
    return value * Fraction(10) ** power if abs(power) <= _LARGEST_EXPONENT else None
