"""Take the units, and the brackets around words, out of an answer: arithmetic and the words around it are left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from gift_core.tasks.prose import is_unit
from gift_core.tasks.tokens import Token

_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_MATCHING = dict(zip(_OPENING, _CLOSING, strict=True))
_ARGUMENT_OF = ("\\frac", "\\sqrt", "^")


def closed(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without closing brackets that nothing opened, and with those that are missing at the end."""
    balanced: list[Token] = []
    opened: list[str] = []
    for token in tokens:
        if token.text in _CLOSING:
            if not opened:
                continue
            opened.pop()
        elif token.text in _OPENING:
            opened.append(token.text)
        balanced.append(token)
    return [*balanced, *(Token("sign", _MATCHING[text], spaced=False) for text in reversed(opened))]


def without_units(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without exponents, slashes, hyphens and percent signs of units, and without brackets around words."""
    return _without_marks(_without_joints(_without_wordy_brackets(_without_unit_powers(tokens))))


def _without_unit_powers(tokens: Sequence[Token]) -> list[Token]:
    """`cm^2` as `cm`."""
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        if tokens[at].text == "^" and (unit := _last_word(kept)) and is_unit(unit):
            at += 1
            at += _length_of_exponent(tokens[at:])
        else:
            kept.append(tokens[at])
            at += 1
    return kept


def _last_word(tokens: Sequence[Token]) -> str | None:
    """The word that the tokens end with, brackets apart; None if they end with another thing."""
    for token in reversed(tokens):
        if token.text not in _CLOSING:
            return token.text if token.kind == "name" else None
    return None


def _length_of_exponent(tokens: Sequence[Token]) -> int:
    texts = [token.text for token in tokens[:4]]
    for form in (["{", "", "}"], ["{", "-", "", "}"], ["-", ""], [""]):
        pairs = list(zip(form, texts, strict=False))
        if len(pairs) == len(form) and all(want == text or (not want and text.isdigit()) for want, text in pairs):
            return len(form)
    return 0


def _without_wordy_brackets(tokens: Sequence[Token]) -> list[Token]:
    # How many words and numbers stand before each token.
    words, numbers = ([0, *accumulate(token.kind == kind for token in tokens)] for kind in ("name", "number"))
    opened: list[int] = []
    dropped: set[int] = set()
    for at, token in enumerate(tokens):
        if token.text in _OPENING:
            opened.append(at)
        elif token.text in _CLOSING and opened:
            start = opened.pop()
            before = tokens[start - 1] if start else None
            if before is not None and before.text in _ARGUMENT_OF:
                continue
            glued = before is not None and not tokens[start].spaced and before.kind in ("number", "name")
            has_numbers = numbers[at] > numbers[start]
            if words[at] > words[start] and (token.text == "}" or not has_numbers or not glued):
                dropped |= {start, at}
    return [token for at, token in enumerate(tokens) if at not in dropped]


def _without_joints(tokens: Sequence[Token]) -> list[Token]:
    """`km/h`, `5/hour` and `5-mile` without the sign that joins them."""
    kept: list[Token] = []
    for at, token in enumerate(tokens):
        before = kept[-1] if kept else None
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.text in ("/", "-", "–", "*") and before is not None and after is not None and after.kind == "name":
            if before.kind == "name":
                continue
            is_glued = not token.spaced and not after.spaced
            if is_unit(after.text) and (token.text == "/" or (token.text in ("-", "–") and is_glued)):
                continue
        kept.append(token)
    return kept


def _without_marks(tokens: Sequence[Token]) -> list[Token]:
    """Marks stay only before a number or its sign, where they tell one from another."""
    kept: list[Token] = []
    for token, after in zip(tokens, [*tokens[1:], None], strict=False):
        begins = after is not None and (
            after.kind == "number" or (after.kind == "sign" and after.text not in _CLOSING and token.text not in "%°")
        )
        if token.kind != "mark" or begins:
            kept.append(token)
    return kept
