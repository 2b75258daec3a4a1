"""The data of a run: where its examples come from, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field
from pydantic import model_validator as check

from gift_core.data.catalogue import find_dataset, with_kind
from gift_core.section import Section, Seed, conflict

EosTail = Literal["block", "longest", "max", "one"]
TaskName = Literal["sudoku", "countdown", "word_problems", "algebra"]
LayoutName = Literal["auto", "pairs", "alpaca", "sharegpt", "messages"]
ReasoningForm = Literal["protocol", "think", "omit"]
Difficulty = Literal["easy", "standard", "hard"]
# The date that Llama 3's own template writes where it is given no clock.
TEMPLATE_DATE = date(2024, 7, 26)


def _require_iso_date(value: object) -> object:
    """The value, unless it is something else that pydantic takes for a date: a number of seconds, or a time."""
    if type(value) is date or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError(f"write the date as year-month-day, such as {TEMPLATE_DATE}")


class TaskSource(Section):
    """Examples that a built-in task generates."""

    kind: Literal["task"] = "task"
    task: TaskName = Field("sudoku", description="Built-in task.")
    difficulty: Difficulty = Field("standard", description="Level of the problems; docs/tasks.md says what each holds.")
    examples: Annotated[int, Field(ge=1, le=100_000)] = Field(1000, description="Training examples to generate.")
    seed: Seed = Field(0, description="Seed of the generator; held-out problems never overlap training ones.")


class ColumnMapping(Section):
    """The columns of a file to read, and how; columns that are left out are found by name."""

    layout: LayoutName = Field(
        "auto",
        description="pairs: a prompt and a response column, and of the others only those that are named. alpaca: "
        "instruction, input, output. sharegpt and messages: a column of conversations, of which the last turn of the "
        "assistant is learned. auto finds out.",
    )
    prompt_column: str | None = Field(None, description="Column with the prompt; found by name when left out.")
    response_column: str | None = Field(None, description="Column with the response; found by name when left out.")
    context_column: str | None = Field(
        None,
        description="Column that follows the prompt after a blank line, such as Alpaca's input or Dolly's context.",
    )
    history_column: str | None = Field(
        None, description="Column with the turns before the prompt, a list of [question, answer] pairs or of messages."
    )
    reasoning_column: str | None = Field(
        None, description="Column with the reasoning that leads to the response, such as s1K's thinking_trajectories."
    )
    system_column: str | None = Field(
        None, description="Column with the system prompt; a column called system or system_prompt when left out."
    )
    conversation_column: str | None = Field(
        None, description="Column with the turns of a conversation, in place of a prompt and a response column."
    )
    reasoning: ReasoningForm = Field(
        "protocol",
        description="Form of a response that brings its reasoning apart from its answer, in a column, a field of a "
        "message or a <think> block. protocol: <reasoning>...</reasoning><answer>...</answer>. think: a <think> block, "
        "then the answer. omit: the answer alone.",
    )

    @check(mode="after")
    def _columns_fit_the_layout(self) -> Self:
        pair = self.prompt_column or self.response_column
        # One column named for both has always meant that it holds conversations.
        same = self.prompt_column == self.response_column
        beside = self.context_column or self.history_column
        if self.conversation_column and pair:
            raise ValueError("set conversation_column, or prompt_column and response_column, not both")
        if self.layout in ("pairs", "alpaca") and (self.conversation_column or (pair and same)):
            raise ValueError(f"layout {self.layout} has a prompt and a response column, no conversation_column")
        if self.layout in ("sharegpt", "messages") and pair and not same:
            raise ValueError(f"layout {self.layout} has a conversation_column, no prompt and response column")
        if beside and (self.conversation_column or self.layout in ("sharegpt", "messages") or (pair and same)):
            raise ValueError("a conversation holds its own turns: it has no context_column and no history_column")
        return self


class FileSource(ColumnMapping):
    """Examples from a JSONL, JSON, CSV or Parquet file."""

    kind: Literal["file"] = "file"
    dataset: str = Field(min_length=1, description="An uploaded data set's id, or a path on the command line.")


class HubSource(ColumnMapping):
    """Examples from a data set of the Hugging Face Hub; the Hub and no other host is asked."""

    kind: Literal["hub"] = "hub"
    dataset: str = Field(
        pattern=r"^[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}$",
        description="owner/name of the data set, or its short name in the catalogue, such as s1k.",
    )
    config: str | None = Field(
        None, max_length=200, description="Configuration (subset); may be left out where there is one."
    )
    split: str = Field("train", min_length=1, max_length=200, description="Split to learn from.")
    revision: str | None = Field(
        None, max_length=200, pattern=r"^[\w./-]+$", description="Branch, tag or commit; a commit pins the rows."
    )

    @check(mode="before")
    @classmethod
    def _look_up(cls, values: Any) -> Any:
        """Replace a short name by what the catalogue has under it."""
        name = values.get("dataset") if isinstance(values, Mapping) else None
        is_short = isinstance(name, str) and find_dataset(name) is not None
        return with_kind({**values, "kind": "hub"}) if is_short else values


class DataSpec(Section):
    source: Annotated[TaskSource | FileSource | HubSource, Field(discriminator="kind")] = Field(
        default_factory=TaskSource
    )
    max_length: Annotated[int, Field(ge=8, le=32_768)] = Field(
        512, description="Longest example in tokens, prompt and response together."
    )
    overlong: Literal["refuse", "truncate", "drop"] = Field(
        "refuse", description="Examples over max_length: an error that names them, cut at their end, or left out."
    )
    eos_tail: EosTail = Field(
        "block",
        description="How the response learns to stop: EOS up to a multiple of the sampling block, to the longest of "
        "the batch, to max_length, or a single EOS.",
    )
    held_out: Annotated[int, Field(ge=0, le=10_000)] = Field(
        256, description="Examples kept out of training for evaluation."
    )
    template_date: Annotated[date, BeforeValidator(_require_iso_date)] = Field(
        TEMPLATE_DATE,
        description="The date that prompts carry where the model's chat template writes today's, as Llama 3's does; "
        "it is kept with the checkpoint.",
    )

    @check(mode="before")
    @classmethod
    def _complete_source(cls, values: Any) -> Any:
        """Fill in a source that is given as the name of a data set alone."""
        source = values.get("source") if isinstance(values, Mapping) else None
        if isinstance(source, str):
            source = {"dataset": source}
        if not isinstance(source, Mapping):
            return values
        try:
            return {**values, "source": with_kind(source)}
        except ValueError as error:
            raise conflict("source.dataset", "source.kind", str(error)) from error
