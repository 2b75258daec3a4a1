"""Lists and objects in cells, also where a format has room for text only."""

from __future__ import annotations

import json
import math

from gift_core.data.formats import json_value, require_few_values
from gift_core.data.texts import kind_of, text_of
from gift_core.errors import DataError


def is_nothing(value: object) -> bool:
    """Whether a field is empty: null, false, blank text, not a number, or a list or object of nothing else."""
    if isinstance(value, dict):
        return all(map(is_nothing, value.values()))
    if isinstance(value, list):
        return all(map(is_nothing, value))
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is False or (isinstance(value, float) and math.isnan(value))


def json_in(cell: object) -> object:
    """Return the list or object that a text holds as JSON; any other cell as it is, also a text that is no JSON."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return json_value(cell)
    except DataError:
        return cell


def list_in(cell: object, what: str) -> object:
    """Return the list that a cell holds, or the cell if it is none; raises `DataError` for JSON that is damaged.

    `what` names the cell.
    """
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell
    _require_no_python(cell, what)
    try:
        return json_value(cell)
    except DataError as error:
        require_whole_json(cell, what)
        problem = error.problems[0]
        raise DataError(f"{what} is not a list in JSON: {problem.message}", remedy=problem.remedy) from error


def require_whole_json(text: str, what: str) -> None:
    """Raise `DataError` for JSON that ends too early, as a spreadsheet cuts off long cells."""
    try:
        require_few_values(text)
        json.JSONDecoder().raw_decode(text.strip())
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated") or error.pos >= len(text.strip()):
            raise DataError(
                f"{what} is JSON that ends too early, after {len(text):,} characters.",
                remedy="Write it whole: spreadsheets cut off cells after 32,767 characters. JSONL and Parquet do not.",
            ) from error
    except (ValueError, RecursionError):
        return


def joined_texts(cell: object, what: str, between: str) -> str:
    """Return a text as it is, the joined texts of a list, or "" for an empty cell; raises `DataError` otherwise."""
    if is_nothing(cell):
        return ""
    texts = [text for text in cell if not is_nothing(text)] if isinstance(cell, list) else []
    if texts and all(isinstance(text, str) for text in texts):
        return text_of(between.join(texts), what)
    if isinstance(cell, list | dict):
        raise DataError(
            f"{what} is {kind_of(cell)}, not text.",
            remedy="Write it as text, or set data.source.layout to pairs to leave the column out.",
        )
    return text_of(cell, what)


def written_list(cell: object, what: str) -> object:
    """Return the list that a text holds as JSON, or the cell as it is; raises `DataError` for one printed by Python."""
    if isinstance(cell, str):
        _require_no_python(cell, what)
    found = json_in(cell)
    return found if isinstance(found, list) else cell


def _require_no_python(text: str, what: str) -> None:
    """Raise `DataError` for a list of texts or objects whose first text is quoted as Python quotes it."""
    stripped = text.strip()
    inner = stripped[1:].lstrip()
    inner = inner[1:].lstrip() if inner.startswith(("[", "{", "(")) else inner
    if stripped.startswith("[") and stripped.endswith("]") and inner.startswith("'"):
        raise DataError(
            f"{what} holds a list as Python prints it, not as JSON.",
            remedy="Write it with json.dumps, or the file as JSONL or Parquet.",
        )
