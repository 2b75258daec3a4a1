r"""Spell a mathematical text in plain signs: Unicode, LaTeX and Markdown in, `+ - * / ^`, digits and words out.

References and responses go through the same rules, so the same answer reads the same wherever it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

# Unicode's characters that are ignored when shown, control characters and the empty Braille pattern.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("−‐‑﹣－", "-"),
        **dict.fromkeys("×✕✖⨉⨯∗⋅·∙•・･✱⁎⸱", "*"),
        **dict.fromkeys("÷∕⁄➗", "/"),
        **dict.fromkeys("‒", "–"),
        **dict.fromkeys("≈≃≅≒≐", "≈"),
        **dict.fromkeys("’‘ʼ′´`", "'"),
        **dict.fromkeys("“”„«»″", '"'),
        **dict.fromkeys("º˚", "°"),
        "٫": ".",
        "٬": ",",
        "√": r"\sqrt ",
        "∛": r"\sqrt[3] ",
        "∜": r"\sqrt[4] ",
    }
)
Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def rules(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rule, ...]:
    """Patterns and their replacements, in the order in which `applied` goes through them."""
    return tuple((re.compile(pattern, re.ASCII), replacement) for pattern, replacement in pairs)


def applied(spellings: tuple[Rule, ...], text: str) -> str:
    """The text after every rule."""
    for pattern, replacement in spellings:
        text = pattern.sub(replacement, text)
    return text


def visible(text: str) -> str:
    """The text without characters that show nothing, and without blanks around it."""
    return _INVISIBLE.sub("", text).strip()


# Marks of a tokenizer and tags that were cut off or left open.
_MARKUP = rules(
    (r"<\|[^<>|]{0,40}\|?>?", " "),
    (r"</[A-Za-z]{0,20}>?|<[A-Za-z]{2,20}>", " "),
    (r"\s*>+\s*$", ""),
    # A fence may name a language.
    (r"```+[A-Za-z]*\s|`+", " "),
)
# Emphasis hugs what it marks and follows no operand: 2**3**2 is a power of a power, and (3+4) *5*2 a product.
_EMPHASIS = re.compile(
    r"(?<![\w)}\]*])(?<![\d)}\]] )(\*{1,3}|_{1,3})(?=[^\s*_])((?:(?!\1)(?s:.))+?)(?<=[^\s*_])\1(?!\*)"
)
# No answer begins with a sign of multiplication.
_WRAPPED = re.compile(r"\s*([*_]{1,3})(.+)\1\s*(\.?)\s*", re.DOTALL)


def unmarked(text: str) -> str:
    """The text without code marks, emphasis, and tags that were left in it."""
    text = applied(_MARKUP, text)
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped[2] + wrapped[3]
    return _EMPHASIS.sub(r" \2 ", text).strip()


def plain_characters(text: str) -> str:
    r"""Digits of any script, signs and fractions in ASCII: `5²` as `5^{2}`, `2½` as `2\frac{1}{2}`.

    An en dash stays one, because between numbers it is a range.
    """
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda found: f"^{{{found[0].translate(_SUPERSCRIPTS)}}}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉₊₋]+", lambda found: f"_{{{found[0].translate(_SUBSCRIPTS)}}}", text)
    if text.isascii():
        return text.replace("`", "'")
    return "".join(map(_plain_character, text)).translate(_SIGNS)


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.decimal(character, None) is not None:
        return str(unicodedata.decimal(character))
    plain = unicodedata.normalize("NFKC", character.translate(_SIGNS))
    if "⁄" in plain:
        above, below = plain.split("⁄")
        return rf"\frac{{{above}}}{{{below}}}" if above.isdecimal() and below.isdecimal() else character
    # A digit in a circle numbers something; it is no digit of a number.
    return character if any(map(str.isdigit, plain)) else plain


_FRACTION_NAMES = r"\\(?:[dtc]?frac|nicefrac|sfrac)(?![A-Za-z])"
_LATEX = rules(
    # A blank that separates thousands is glued to three digits.
    (r"(?<![\d.,])([1-9]\d{0,2})(\{,\}|\\,|,\s*\\!\s*|\\!|~|')\d{3}(?:\s*\2\s*\d{3})*(?!\d)", lambda m: _joined(m[0])),
    (r"\\\\(?:\[[^\[\]]*\])?", " ; "),
    (r"\\(?:color|tag|label|[hv]space\*?|phantom)\s*\{[^{}]*\}|\\textcolor\s*\{[^{}]*\}", " "),
    (r"\\(?:begin|end)\s*\{(?:math|displaymath|equation|align|aligned|gather)\*?\}", " "),
    (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z])|°)|\\(?:text)?degree(?:s|Celsius)?(?![A-Za-z])", "° "),
    (r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?", ""),
    (r"\\(?:displaystyle|textstyle|scriptstyle|limits|rm|bf|it|tt|large|Large|normalsize)(?![A-Za-z])", " "),
    (
        r"\\(?:text[a-z]{0,6}|math(?:rm|bf|it|sf|tt|ord|bin)|[mhf]box|emph|underline|boxed|boldsymbol|bm|ensuremath)"
        r"(?=\s*\{)",
        " ",
    ),
    (r"\\(?:times|cdotp?|ast|star|bullet)(?![A-Za-z])", " * "),
    (r"\\div(?![A-Za-z])", " / "),
    (r"\\(?:approx|simeq|sim|cong|doteq)(?![A-Za-z])", " ≈ "),
    (r"\\equiv(?![A-Za-z])", " = "),
    (r"\\(?:ldots|dots|cdots|dotsc|dotsb)(?![A-Za-z])", "..."),
    (r"\\q?quad(?![A-Za-z])", " ; "),
    (r"\\(?:thinspace|enspace|space|pounds|euro|textdollar)(?![A-Za-z])|\\[,;:> ]|~", " "),
    (r"\\!|\\-", ""),
    (r"\\[()\[\]]", " "),
    # A dollar opens a formula or is a currency; a blank of its own keeps 1$200 apart.
    (r"\\?[$€£¥₹₩₽¢]", "\t"),
    (r"\\([%&#_])", r"\1"),
    (r"\\\{", "("),
    (r"\\\}", ")"),
    (_FRACTION_NAMES, r"\\frac"),
    (r"\\[.'\"=^|/]", " "),
)


def from_latex(text: str) -> str:
    r"""The text with its LaTeX in signs, but for `\frac`, `\sqrt`, `\over`, bars over digits and unknown commands."""
    return applied(_LATEX, text)


def _joined(number: str) -> str:
    return re.sub(r"\D", "", number)
