"""What a data set holds, before any model has seen it: sizes of its texts, and rows that say the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from gift_core.data.examples import Example, Role, prompt_key
from gift_core.data.fingerprint import examples_digest
from gift_core.data.layouts import Layout
from gift_core.data_spec import ColumnMapping, LayoutName
from gift_core.document import Document

# Groups of equal rows that are listed, and rows of each.
_GROUPS_LISTED = 20
_ROWS_LISTED = 10
# Characters of each text of the example that is shown.
_SHOWN_CHARACTERS = 2_000


class Quantiles(Document):
    """How sizes spread; `longest_row` is the first that has the largest."""

    least: int
    median: int
    p90: int
    p99: int
    most: int
    longest_row: int

    @classmethod
    def of(cls, sizes: Sequence[int], rows: Sequence[int]) -> Quantiles:
        """Of the sizes of `rows`; each quantile is a size that occurs. There is at least one."""
        values = np.asarray(sizes)
        least, median, p90, p99, most = np.quantile(values, (0, 0.5, 0.9, 0.99, 1), method="inverted_cdf").tolist()
        return cls(least=least, median=median, p90=p90, p99=p99, most=most, longest_row=rows[int(values.argmax())])


class Duplicates(Document):
    """Rows that repeat others. White space, capitals and the system turn make no difference to a prompt."""

    repeated_rows: int = Field(description="Rows whose prompt and response stand in an earlier row too.")
    conflicting_prompts: int = Field(description="Prompts that have several different responses.")
    conflicting_rows: int = Field(description="The rows of those prompts.")
    repeated: list[list[int]] = Field(description="Equal rows, by their numbers: the first groups, the first of each.")
    conflicting: list[list[int]] = Field(description="Rows of one prompt with different responses, likewise.")

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Duplicates:
        # Most prompts stand alone: a list for each of them would take more room than short texts do.
        first: dict[bytes, Example] = {}
        groups: dict[bytes, list[Example]] = {}
        for example in examples:
            key = prompt_key(example)
            if (known := first.setdefault(key, example)) is not example:
                groups.setdefault(key, [known]).append(example)
        repeated: list[list[int]] = []
        conflicting: list[list[int]] = []
        for group in groups.values():
            responses: defaultdict[str, list[int]] = defaultdict(list)
            for example in group:
                responses[example.response.strip()].append(example.id)
            repeated += [rows for rows in responses.values() if len(rows) > 1]
            if len(responses) > 1:
                conflicting.append([example.id for example in group])
        return cls(
            repeated_rows=sum(len(rows) - 1 for rows in repeated),
            conflicting_prompts=len(conflicting),
            conflicting_rows=sum(map(len, conflicting)),
            repeated=_listed(repeated),
            conflicting=_listed(conflicting),
        )


class HubOrigin(Document):
    """Where a data set of the Hub lies: `revision` is the commit, so that the same rows can be fetched again."""

    repository: str
    revision: str
    split: str
    config: str | None = None
    files: list[str]


class TurnText(Document):
    """A turn before the prompt."""

    role: Role
    text: str


class ExampleText(Document):
    """One row as it is learned from, before a model's tokens; long texts are cut."""

    row: int
    history: list[TurnText] = Field([], description="Turns before the prompt, a system turn first.")
    prompt: str
    response: str

    @classmethod
    def of(cls, example: Example) -> ExampleText:
        return cls(
            row=example.id,
            history=[TurnText(role=turn.role, text=_cut(turn.text)) for turn in example.history],
            prompt=_cut(example.prompt),
            response=_cut(example.response),
        )


class DatasetSummary(Document):
    """A file whose rows can all be used, in numbers. Sizes of texts are characters.

    If the columns to read have not been chosen yet, `layout` and all that follows from it are null.
    """

    columns: list[str]
    rows: int
    layout: LayoutName | None = Field(None, description="How the columns are read.")
    recognised: str | None = Field(None, description="The well-known data set that has these columns.")
    prompt_column: str | None = None
    response_column: str | None = None
    context_column: str | None = Field(None, description="Column that continues the prompt, as Alpaca's input.")
    history_column: str | None = Field(None, description="Column with the turns before the prompt.")
    reasoning_column: str | None = Field(None, description="Column with the reasoning that leads to the response.")
    system_column: str | None = None
    used_columns: list[str] = Field([], description="The columns that are read, in the order a model sees them.")
    unused_columns: list[str] = Field([], description="The other columns of the file.")
    mapping: ColumnMapping | None = Field(
        None, description="Part of a data.source that reads the file in this way, whatever names are found by then."
    )
    fingerprint: str = Field("", description="SHA-256 of the examples: equal for equal rows in any format.")
    prompt_characters: Quantiles | None = Field(None, description="Of all turns before the response.")
    response_characters: Quantiles | None = None
    with_history: int = Field(0, description="Rows with turns before the prompt, a system turn among them.")
    duplicates: Duplicates | None = None
    first_example: ExampleText | None = None
    origin: HubOrigin | None = Field(None, description="Of a data set that was fetched from the Hub.")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Add the mapping to a summary that was stored before there was one."""
        if not isinstance(values, dict) or not values.get("layout") or values.get("mapping"):
            return values
        prompt, response = values.get("prompt_column"), values.get("response_column")
        pair = {"prompt_column": prompt, "response_column": response}
        beside = {name: values.get(name) for name in ("context_column", "system_column")}
        chosen = {"conversation_column": prompt} if prompt == response else pair
        used = [column for column in dict.fromkeys([*beside.values(), prompt, response]) if column is not None]
        return values | {
            "mapping": {"layout": values["layout"], **chosen, **beside},
            "used_columns": used,
            "unused_columns": [column for column in values.get("columns", ()) if column not in used],
        }


def column_facts(columns: Sequence[str], layout: Layout) -> dict[str, Any]:
    """Return what a summary and a preview say of the columns: which are read, as what, and which are not."""
    return {
        "columns": list(columns),
        "layout": layout.name,
        "recognised": layout.recognised,
        "prompt_column": layout.prompt,
        "response_column": layout.response,
        "context_column": layout.context,
        "history_column": layout.history,
        "reasoning_column": layout.reasoning,
        "system_column": layout.system,
        "used_columns": list(layout.used),
        "unused_columns": [column for column in columns if column not in layout.used],
        "mapping": layout.mapping(),
    }


def summarise(columns: list[str], layout: Layout, examples: Sequence[Example]) -> DatasetSummary:
    """The summary of the examples that were read from a file with these columns."""
    rows = [example.id for example in examples]
    return DatasetSummary(
        **column_facts(columns, layout),
        rows=len(examples),
        fingerprint=examples_digest(examples),
        prompt_characters=Quantiles.of([example.asked for example in examples], rows),
        response_characters=Quantiles.of([len(example.response) for example in examples], rows),
        with_history=sum(bool(example.history) for example in examples),
        duplicates=Duplicates.of(examples),
        first_example=ExampleText.of(examples[0]),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _listed(groups: list[list[int]]) -> list[list[int]]:
    return [rows[:_ROWS_LISTED] for rows in sorted(groups)[:_GROUPS_LISTED]]
