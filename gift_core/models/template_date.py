"""The date that a chat template writes: a fixed one, so that a checkpoint sees the same prompts on every day.

Templates such as Llama 3's call `strftime_now`, which transformers answers from the clock. The template gets a macro of
that name in front of it, which answers with one date. The macro is part of the template, so it is saved with the
checkpoint, so every prompt that is rendered with it has that date.
"""

from __future__ import annotations

import copy
import re
from datetime import date, datetime, time

from transformers import PreTrainedTokenizerFast

from gift_core.data_spec import TEMPLATE_DATE

_CALL = "strftime_now"
_START, _END = "{%- macro strftime_now(format) -%}", "{%- endmacro %}{{ '' }}"
# How the macro writes the directive %F, which is the whole date.
_DAY = re.compile(r"replace\('%F', '(\d{4}-\d\d-\d\d)'\)")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# Directives that are the same in every locale; a hyphen takes leading zeros away.
_NUMBERS = (
    "d",
    "e",
    "m",
    "Y",
    "y",
    "C",
    "j",
    "H",
    "I",
    "M",
    "S",
    "f",
    "u",
    "w",
    "U",
    "W",
    "V",
    "G",
    "F",
    "T",
    "R",
    "D",
)
_SHORTENED = ("d", "m", "y", "j", "H", "I", "M", "S")


def dated(tokenizer: PreTrainedTokenizerFast, day: date | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer with `day` as the date of its chat templates; itself if that changes nothing.

    Without a day, a template keeps the date that was saved with it, and gets `TEMPLATE_DATE` if it has none.
    """
    templates = tokenizer.chat_template
    if isinstance(templates, dict):
        pinned: str | dict[str, str] = {name: _with_date(text, day) for name, text in templates.items()}
    elif isinstance(templates, str):
        pinned = _with_date(templates, day)
    else:
        return tokenizer
    if pinned == templates:
        return tokenizer
    changed = copy.copy(tokenizer)
    changed.chat_template = pinned
    return changed


def _with_date(template: str, day: date | None) -> str:
    return pinned_template(template, day or pinned_date(template) or TEMPLATE_DATE)


def pinned_template(template: str, day: date) -> str:
    """The template with `day` as its date, in place of the clock or of the date that it had."""
    original = template.split(_END, 1)[1] if _is_pinned(template) else template
    return _macro(day) + original if _CALL in original else original


def pinned_date(template: str) -> date | None:
    """The date that `pinned_template` has put into a template; None if it has none."""
    found = _DAY.search(template.split(_END, 1)[0]) if _is_pinned(template) else None
    return date.fromisoformat(found[1]) if found else None


def _is_pinned(template: str) -> bool:
    return template.startswith(_START) and _END in template


def _macro(day: date) -> str:
    """A macro in place of the function: it replaces every directive of the format, and `%%` by a percent sign."""
    replaced = "".join(f"|replace('%{name}', '{value}')" for name, value in _values(day).items())
    return (
        f"{_START}{{%- for part in format.split('%%') -%}}{{%- if not loop.first -%}}{{{{ '%' }}}}{{%- endif -%}}"
        f"{{{{ part{replaced} }}}}{{%- endfor -%}}{_END}"
    )


def _values(day: date) -> dict[str, str]:
    """What each directive of strftime stands for at the start of `day`, in the words of the C locale."""
    start = datetime.combine(day, time())
    weekday, month = _DAYS[day.weekday()], _MONTHS[day.month - 1]
    numbers = {name: start.strftime(f"%{name}") for name in _NUMBERS}
    shortened = {f"-{name}": numbers[name].lstrip("0") or "0" for name in _SHORTENED}
    names = {
        **{"a": weekday[:3], "A": weekday, "b": month[:3], "h": month[:3], "B": month},
        **{"p": "AM", "Z": "", "z": "", "x": numbers["D"], "X": numbers["T"]},
        "c": f"{weekday[:3]} {month[:3]} {day.day:2} {numbers['T']} {day.year:04}",
    }
    return numbers | shortened | names
