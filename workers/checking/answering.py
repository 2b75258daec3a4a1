"""Answers the questions of `documents`, in whichever process: what needs torch is imported at the first of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gift_core.data_spec import DataSpec, TaskSource
from gift_core.errors import SpecError
from gift_core.spec import RunSpec
from workers.checking.documents import (
    Answer,
    CheckExport,
    CheckRoom,
    CheckRun,
    CheckSample,
    Dropped,
    FinishedRun,
    KeptData,
    MakePreview,
    MakeReport,
    Passed,
    Place,
    Previewed,
    Question,
    Reported,
)
from workers.children.faults import fault_of, refusal

if TYPE_CHECKING:
    from gift_core.machine import Machine
    from gift_core.preflight_estimates import Earlier


class _UnwantedError(Exception):
    """Nobody waits for the answer any more."""


def answer_to(question: Question, is_wanted: Callable[[], bool]) -> Answer:
    """Return the answer, or what is wrong. `is_wanted` is asked now and then, and False ends the work."""
    try:
        return _answer(question, is_wanted) if is_wanted() else Dropped()
    except _UnwantedError:
        return Dropped()
    except Exception as error:
        return fault_of(error)


def import_everything() -> None:
    """Import what the answers need, which takes seconds."""
    import gift_core.compilation
    import gift_core.data.previews
    import gift_core.dataset_inspection
    import gift_core.evaluation
    import gift_core.export
    import gift_core.preflight
    import gift_core.preflight_report  # noqa: F401


def rehearse() -> None:
    """Answer a small question: the first one reads a model's files and compiles its templates."""
    run = RunSpec.parse({"data": {"source": {"kind": "task", "examples": 4}, "held_out": 1}})
    answer_to(CheckRun(run=run, file=None), lambda: True)


def _answer(question: Question, is_wanted: Callable[[], bool]) -> Answer:
    match question:
        case CheckRun():
            from gift_core import preflight

            preflight.check(question.run, _file_of(question.file))
        case CheckRoom():
            from gift_core.evaluation import check_context
            from gift_core.models.loading import context_length, load_tokenizer

            check_context(load_tokenizer(question.base), context_length(question.base), question.items, question.length)
        case CheckSample():
            _check_sample(question)
        case CheckExport():
            _check_export(question)
        case MakePreview():
            return _preview(question)
        case MakeReport():
            return _report(question, is_wanted)
    return Passed()


def _check_sample(question: CheckSample) -> None:
    from gift_core.data.sources import load_split, no_examples
    from gift_core.data.tokenisation import tokenise_all
    from gift_core.dataset_inspection import sample
    from gift_core.models.loading import context_length, load_tokenizer

    run = question.run
    examples = load_split(run.data, _file_of(question.file)).training
    if not examples:
        raise no_examples()
    chosen = sample(examples, question.examples, question.seed)
    del examples
    for base in question.bases:
        tokenised = tokenise_all(chosen, load_tokenizer(base), run.data, run.sampling, context_length(base))
        if not tokenised.examples:
            raise no_examples()


def _check_export(question: CheckExport) -> None:
    from gift_core.export import check_layout, has_published_layout

    layout = check_layout(question.layout, question.dtype, is_adapter=question.is_adapter)
    if layout == "published" and not has_published_layout(question.base):
        raise SpecError(
            f"{question.base} has no layout but transformers' own.", field="layout", remedy="Choose the layout merged."
        )


def _preview(question: MakePreview) -> Previewed:
    from gift_core.data.previews import preview
    from gift_core.data.sources import read_source, task_contents
    from gift_core.models.loading import context_length, load_tokenizer

    run = question.run
    data, source = run.data, run.data.source
    tokenizer, context = load_tokenizer(run.model.name), context_length(run.model.name)
    own = not isinstance(source, TaskSource)
    contents = task_contents(data) if isinstance(source, TaskSource) else read_source(source, _file_of(question.file))
    rows = slice(question.start, question.start + question.rows)
    return Previewed(preview=preview(contents, tokenizer, data, run.sampling, context, rows, find_duplicates=own))


def _report(question: MakeReport, is_wanted: Callable[[], bool]) -> Reported:
    from gift_core.preflight_report import Surroundings, report

    def require_wanted() -> None:
        if not is_wanted():
            raise _UnwantedError

    surroundings = Surroundings(
        machine=_machine(question.place),
        earlier=[found for run in question.earlier if (found := _speed_of(run))],
        effect=question.effect,
        most_characters=question.most_characters,
        most_generated=question.most_generated,
        kept_data=lambda _: _kept(question.kept),
        still_wanted=require_wanted,
    )
    experiment = json.loads(question.experiment)
    return Reported(report=report(experiment, _file_of(question.kept.file), surroundings))


def _kept(kept: KeptData) -> DataSpec:
    if kept.refused:
        raise refusal(kept.refused)
    return kept.data


def _machine(place: Place) -> Machine:
    from gift_core.machine import Machine

    if place.is_here:
        return Machine.from_outside(place.directory)
    disk = Machine.disk_only(place.directory)
    return replace(disk, memory_free=place.memory_free, memory_total=place.memory_total)


def _speed_of(run: FinishedRun) -> Earlier | None:
    """None for a run whose spec is of a version that is no longer read."""
    from gift_core.preflight_estimates import Earlier

    try:
        return Earlier(RunSpec.parse(run.spec), run.tokens_per_second)
    except SpecError:
        return None


def _file_of(path: Path | None) -> Callable[[str], Path]:
    """What turns the name of the question's data set, the only one there is, into its file."""

    def file(_: str) -> Path:
        assert path is not None, "the data of this question are not in a file"
        return path

    return file
