"""Arithmetic as written, read by Python's own parser and computed exactly; nothing is ever evaluated as code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from operator import add, mul, sub, truediv

_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: truediv,
}
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "\n": " "})
_BRACKETS = str.maketrans("{[]}", "(())")
# Longer than any answer that could be right; the parser's own limits are never reached.
_LONGEST = 200
_LARGEST_NUMBER = 10**9


def parse_expression(text: str) -> ast.expr | None:
    """The tree of + - * / over whole numbers and names; None for anything else."""
    text = text.translate(_SPELLINGS).strip()
    if not text.isascii() or len(text) > _LONGEST:
        return None
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if _is_arithmetic(tree) else None


_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_COMMANDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-z])"), "*"),
    (re.compile(r"\\div(?![a-z])"), "/"),
    (re.compile(r"\\(?:left|right)(?![a-z])|\\[,;:! ]|\\?\$"), ""),
    (re.compile(r"\\[(\[]|\\[)\]]"), ""),
)


def from_latex(text: str) -> str:
    r"""The text with the arithmetic of LaTeX spelled in signs: `\times`, `\cdot`, `\div`, `\frac{a}{b}`, `\left(`.

    Braces that remain and square brackets are brackets. A text too long to be an answer is returned as it is.
    """
    if len(text) > _LONGEST:
        return text
    for pattern, sign in _COMMANDS:
        text = pattern.sub(sign, text)
    # From the inside out, each time one level.
    while (spelled := _FRACTION.sub(_division, text)) != text:
        text = spelled
    return text.translate(_BRACKETS)


def _division(fraction: re.Match[str]) -> str:
    above, below = (part for part in fraction.groups() if part is not None)
    return f"(({above})/({below}))"


def numbers_in(tree: ast.expr) -> list[int]:
    """Every number that is written in the expression, sorted."""
    return sorted(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is int)


def value_of(tree: ast.expr, names: Mapping[str, int] | None = None) -> Fraction | None:
    """The exact value; None where it divides by zero or uses a name that `names` does not give."""
    try:
        return _value(tree, names or {})
    except (ZeroDivisionError, KeyError):
        return None


def _is_arithmetic(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(left, op, right):
            return type(op) in _OPERATORS and _is_arithmetic(left) and _is_arithmetic(right)
        case ast.UnaryOp(ast.USub(), operand):
            return _is_arithmetic(operand)
        case ast.Constant(value):
            # True is an int as well, and 1_000 or 1e3 are not how a sum is written.
            return type(value) is int and value <= _LARGEST_NUMBER
        case ast.Name():
            return True
    return False


def _value(node: ast.expr, names: Mapping[str, int]) -> Fraction:
    match node:
        case ast.BinOp(left, op, right):
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(_, operand):
            return -_value(operand, names)
        case ast.Name(name):
            return Fraction(names[name])
        case ast.Constant(int(value)):
            return Fraction(value)
    raise AssertionError(ast.dump(node))
