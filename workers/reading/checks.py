"""What a file is read as before it is kept."""

from __future__ import annotations

from gift_core.data.layouts import FOUND_BY_NAME
from gift_core.data_spec import ColumnMapping
from gift_core.tasks.items import EvaluationTaskName
from workers.reading.documents import ReadExamples, ReadItems

# Rows that a refusal names one by one; the whole list is made by `DatasetStore.problems`.
MOST_PROBLEMS = 200
Check = ReadExamples | ReadItems


def check_examples(mapping: ColumnMapping = FOUND_BY_NAME) -> ReadExamples:
    """Rows to learn from: a file is refused if one has no prompt or response.

    A file whose columns have to be named first is accepted where all of its rows can be read.
    """
    return ReadExamples(mapping=plain_mapping(mapping), shown=MOST_PROBLEMS)


def check_items(task: EvaluationTaskName) -> ReadItems:
    """The same for problems of a task, whose columns are its own; a task that takes no file refuses all."""
    return ReadItems(task=task)


def plain_mapping(mapping: ColumnMapping) -> ColumnMapping:
    """Return the columns that were named, without what else an upload or a split of the Hub says."""
    return ColumnMapping.model_validate(mapping.model_dump(include=set(ColumnMapping.model_fields)))
