r"""Arithmetic as written, parsed by hand and computed exactly; nothing is ever evaluated as code.

The grammar has numbers, names, `+ - * / ^`, brackets, `\frac`, `\sqrt`, mixed numbers such as `2\frac{1}{2}` or
`2 1/2`, and products without a sign such as `2(3)`. `parse` accepts all of it, `parse_expression` only what Countdown
allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from gift_core.tasks.notation import from_latex, plain_characters, unmarked, visible
from gift_core.tasks.tokens import Token, tokenise

# Longer than any answer that could be right.
_LONGEST = 200
_LARGEST_NUMBER = 10**9
_DEEPEST = 40
# No numerator or denominator is larger: a power of a power must not hold up a scorer.
_LARGEST_BITS = 1024
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Number:
    value: Fraction
    text: str


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Negation:
    operand: Expression


@dataclass(frozen=True)
class Operation:
    """`symbol` is one of `+ - * / ^`, or "" for a mixed number or a product without a sign."""

    symbol: str
    left: Expression
    right: Expression
    is_mixed: bool = False


@dataclass(frozen=True)
class Root:
    degree: Expression
    operand: Expression


Expression = Number | Name | Negation | Operation | Root


class _NotArithmeticError(Exception):
    """The tokens are no expression."""


def parse_equation(text: str) -> list[Expression]:
    """The trees of the sides of an equation that are arithmetic; of a text without an equals sign, of all of it."""
    if len(text) > _LONGEST:
        return []
    # A dash of any length is a minus here: there are no ranges.
    plain = from_latex(plain_characters(unmarked(visible(text)))).replace("–", "-")
    trees = [parse(tokenise(side.strip(" \t\n.,;"))) for side in plain.split("=")]
    return [tree for tree in trees if tree is not None and _is_plain(tree)]


def parse_expression(text: str) -> Expression | None:
    """The tree of + - * / over numbers and names, in plain signs or LaTeX; None for anything else."""
    sides = parse_equation(text)
    return sides[0] if len(sides) == 1 and "=" not in text else None


def parse(tokens: Sequence[Token]) -> Expression | None:
    """The tree of all the tokens; None if they are no expression."""
    parser = _Parser(tokens)
    try:
        return parser.whole()
    except _NotArithmeticError:
        return None


def numbers_in(tree: Expression) -> list[Fraction]:
    """Every number that is written in the expression, sorted."""
    return sorted(node.value for node in _nodes(tree) if isinstance(node, Number))


def value_of(tree: Expression, names: Mapping[str, int] | None = None) -> Fraction | None:
    """The exact value; None if it has none: a division by zero, an unknown name, an irrational root, a huge power."""
    try:
        return _value(tree, names or {})
    except (ZeroDivisionError, KeyError, _NotArithmeticError):
        return None


def _is_plain(tree: Expression) -> bool:
    for node in _nodes(tree):
        match node:
            case Number(value):
                if value > _LARGEST_NUMBER:
                    return False
            case Operation(symbol):
                if symbol not in ("+", "-", "*", "/"):
                    return False
            case Root():
                return False
    return True


def _nodes(tree: Expression) -> Iterator[Expression]:
    left = [tree]
    while left:
        node = left.pop()
        yield node
        match node:
            case Negation(operand):
                left.append(operand)
            case Operation(_, one, other) | Root(one, other):
                left += [one, other]


class _Parser:
    """Recursive descent over tokens. Every method raises `_NotArithmeticError` if its part is not there."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        tree = self._sum_over_sum()
        if self._at < len(self._tokens):
            raise _NotArithmeticError
        return tree

    def _sum_over_sum(self) -> Expression:
        r"""TeX's `1 \over 2`, which reaches to the braces around it."""
        tree = self._sum()
        if not self._next_is("\\over"):
            return tree
        self._take("\\over")
        return Operation("/", tree, self._sum())

    def _peek(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _next_is(self, *texts: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "sign" and token.text in texts

    def _take(self, *texts: str) -> str:
        if not self._next_is(*texts):
            raise _NotArithmeticError
        self._at += 1
        return self._tokens[self._at - 1].text

    def _sum(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotArithmeticError
        tree = self._product()
        while self._next_is("+", "-"):
            tree = Operation(self._take("+", "-"), tree, self._product())
        self._depth -= 1
        return tree

    def _product(self) -> Expression:
        tree = self._signed()
        while self._next_is("*", "/"):
            symbol = self._take("*", "/")
            right = self._signed()
            if symbol == "/" and isinstance(right, Operation) and right.symbol == "":
                # 6/2(3) is read in two ways.
                raise _NotArithmeticError
            tree = Operation(symbol, tree, right)
        return tree

    def _signed(self) -> Expression:
        negative = False
        while self._next_is("+", "-"):
            negative ^= self._take("+", "-") == "-"
        tree = self._juxtaposed()
        return Negation(tree) if negative else tree

    def _juxtaposed(self) -> Expression:
        first = self._peek()
        tree = self._power()
        if first is not None and isinstance(tree, Number) and first.is_whole:
            if part := self._proper_fraction():
                return Operation("", tree, part, is_mixed=True)
            if self._next_is("\\frac"):
                raise _NotArithmeticError
        while self._is_factor(self._peek()):
            tree = Operation("", tree, self._power())
        return tree

    def _proper_fraction(self) -> Expression | None:
        r"""The fraction of a mixed number, `\frac{1}{2}` or ` 1/2`; None if another thing follows."""
        before = self._at
        above, slash, below = (self._peek(ahead) for ahead in range(3))
        if above and slash and below and above.is_whole and slash.text == "/" and below.is_whole and above.spaced:
            self._at += 3
            part: Expression = Operation("/", Number(above.value, above.text), Number(below.value, below.text))
        elif self._next_is("\\frac"):
            part = self._fraction()
        else:
            return None
        match part:
            case Operation("/", Number(over), Number(under)) if (
                over.denominator == under.denominator == 1 and 0 < over < under
            ):
                return part
        self._at = before
        return None

    def _is_factor(self, token: Token | None) -> bool:
        """Whether a factor without a sign before it begins here: a glued bracket, or a root."""
        if token is None or token.kind != "sign":
            return False
        return token.text == "\\sqrt" or (token.text in ("(", "[") and not token.spaced)

    def _power(self) -> Expression:
        base = self._atom()
        if not self._next_is("^"):
            return base
        self._take("^")
        negative = self._next_is("-") and bool(self._take("-"))
        exponent = self._power()
        return Operation("^", base, Negation(exponent) if negative else exponent)

    def _atom(self) -> Expression:
        token = self._peek()
        if token is None:
            raise _NotArithmeticError
        if token.kind in ("number", "name"):
            self._at += 1
            return Number(token.value, token.text) if token.kind == "number" else Name(token.text)
        match token.text:
            case "(" | "[" | "{":
                return self._bracketed()
            case "\\frac":
                return self._fraction()
            case "\\sqrt":
                return self._root()
        raise _NotArithmeticError

    def _bracketed(self) -> Expression:
        opening = self._take("(", "[", "{")
        tree = self._sum_over_sum() if opening == "{" else self._sum()
        self._take(_CLOSING[opening])
        return tree

    def _fraction(self) -> Expression:
        self._take("\\frac")
        return Operation("/", self._argument(), self._argument())

    def _argument(self) -> Expression:
        """Braces, or one digit: of `12` TeX takes the 1 only."""
        token = self._peek()
        if token is not None and token.is_whole and len(token.text) == 1:
            self._at += 1
            return Number(token.value, token.text)
        if not self._next_is("{"):
            raise _NotArithmeticError
        return self._bracketed()

    def _root(self) -> Expression:
        self._take("\\sqrt")
        degree: Expression = Number(Fraction(2), "2")
        if self._next_is("["):
            degree = self._bracketed()
        return Root(degree, self._atom())


def _value(node: Expression, names: Mapping[str, int]) -> Fraction:
    match node:
        case Number(value):
            return value
        case Name(name):
            return Fraction(names[name])
        case Negation(operand):
            return -_value(operand, names)
        case Root(degree, operand):
            return _root(_value(operand, names), _value(degree, names))
        case Operation(symbol, left, right, is_mixed):
            sign = "+" if is_mixed else symbol or "*"
            return _bounded(_computed(_value(left, names), sign, _value(right, names)))
    raise AssertionError(node)


def _computed(left: Fraction, symbol: str, right: Fraction) -> Fraction:
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
    return _raised(left, right)


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent <= 0:
        raise _NotArithmeticError
    if exponent.denominator != 1:
        base, exponent = _root(base, Fraction(exponent.denominator)), Fraction(exponent.numerator)
    size = max(abs(base.numerator), base.denominator).bit_length()
    if abs(exponent) > _LARGEST_BITS or (size > 1 and size * abs(exponent) > 2 * _LARGEST_BITS):
        raise _NotArithmeticError
    return base**exponent.numerator


def _root(value: Fraction, degree: Fraction) -> Fraction:
    if value < 0 or degree.denominator != 1 or not 1 <= degree <= _LARGEST_BITS:
        raise _NotArithmeticError
    return Fraction(_exact_root(value.numerator, degree.numerator), _exact_root(value.denominator, degree.numerator))


def _exact_root(value: int, degree: int) -> int:
    root = isqrt(value) if degree == 2 else _floor_root(value, degree)
    if root**degree != value:
        raise _NotArithmeticError
    return root


def _floor_root(value: int, degree: int) -> int:
    """The largest whole number whose power of `degree` is not above `value`."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle)
    return low


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator).bit_length() > _LARGEST_BITS:
        raise _NotArithmeticError
    return value
