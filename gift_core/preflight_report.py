"""Everything that can be said of an experiment before it is launched, without loading a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import TypeVar

from gift_core.compilation import check_compiler
from gift_core.counting import Epoch, epoch_batches
from gift_core.data.examples import Example
from gift_core.data.sources import ResolveDataset, Split, load_split, no_examples
from gift_core.data.tokenisation import Tokenised, tokenise_all
from gift_core.data_overlap import Overlap, overlap
from gift_core.data_spec import DataSpec, TaskSource
from gift_core.errors import GiftError, Problem
from gift_core.machine import Machine
from gift_core.models.catalogue import find_model
from gift_core.models.loading import architecture, context_length, load_tokenizer
from gift_core.models.quantisation import four_bits
from gift_core.preflight_document import Estimates, PreflightReport, TokenEstimate
from gift_core.preflight_estimates import (
    Earlier,
    Model,
    all_times,
    check_memory_of,
    disk_of,
    memory_of,
    steps_of,
    time_of,
)
from gift_core.preflight_warnings import Facts, warnings_of
from gift_core.spec import ExperimentSpec, RunSpec
from gift_core.spec_reading import Reading, read_experiment
from gift_core.training import steps_per_epoch

T = TypeVar("T")
# A difference between methods, in shares of 1, that a pair of runs should be able to tell.
USUAL_EFFECT = 0.1


@dataclass(frozen=True)
class Surroundings:
    """What a report takes into account besides the experiment.

    `earlier` are runs that finished on the device that these would have. `effect` is the difference in score that is to
    be told, in shares of 1. `local_models` admits folders and any model in the Hub's cache, as the command line does.
    Of more than `most_characters` of text only the first examples are counted, and the rest is inferred from them.
    A built-in task makes `most_generated` examples at most, which stand for the others. `kept_data` returns data as it
    is read here; it raises for what may not be used, before any of it is read. `still_wanted` is called between
    examples, and may raise to end the work.
    """

    machine: Machine = field(default_factory=Machine)
    earlier: Sequence[Earlier] = ()
    effect: float = USUAL_EFFECT
    local_models: bool = False
    most_characters: int | None = None
    most_generated: int | None = None
    kept_data: Callable[[DataSpec], DataSpec] = lambda data: data
    still_wanted: Callable[[], None] = lambda: None


def report(
    experiment: ExperimentSpec | object, resolve_dataset: ResolveDataset, surroundings: Surroundings | None = None
) -> PreflightReport:
    """Look at an experiment, or at what should be one: nothing that is wrong with it is raised."""
    reading = Reading(experiment) if isinstance(experiment, ExperimentSpec) else read_experiment(experiment)
    return _Inquiry(reading, resolve_dataset, surroundings or Surroundings()).report()


@dataclass(frozen=True)
class _Data:
    """The examples that were counted, of how many, and what equal ones there are among all."""

    training: Tokenised
    held_out: int
    scale: float
    repeated: Overlap

    @property
    def examples(self) -> int:
        """All that are trained on, by the share of those that were counted."""
        return round(self.scale * len(self.training.examples))


class _Inquiry:
    """One report in the making. What depends on a value that is wrong is not looked at."""

    def __init__(self, reading: Reading, resolve_dataset: ResolveDataset, surroundings: Surroundings) -> None:
        self._reading = reading
        self._run: RunSpec = reading.spec.run
        self._resolve = resolve_dataset
        self._surroundings = surroundings
        self._problems: list[Problem] = list(reading.problems)

    def report(self) -> PreflightReport:
        given = self._reading.is_given
        model = self._attempt(self._model) if given("model.name") else None
        if self._run.model.quantisation != "none":
            self._attempt(four_bits)
        if self._run.training.compile:
            self._attempt(check_compiler)
        split = None
        if given("data.source", "data.held_out"):
            split = self._attempt(self._split)
        data = None
        if split and model and given("data", "sampling.block_length"):
            data = self._data(split, model)
        estimates = self._estimates(model, data) if model and data else Estimates(runs=self._runs)
        facts = Facts(
            self._reading,
            estimates,
            data.repeated if data else None,
            self._surroundings.effect,
            model.body.vocabulary if model else None,
        )
        return PreflightReport(
            ok=not self._problems, problems=self._problems, warnings=warnings_of(facts), estimates=estimates
        )

    def _attempt(self, look: Callable[[], T]) -> T | None:
        """What was found, or None, with what is wrong among the problems."""
        try:
            return look()
        except GiftError as error:
            self._problems += [problem for problem in error.problems if problem not in self._problems]
            return None

    @property
    def _runs(self) -> int | None:
        if not self._reading.is_given("methods", "seeds"):
            return None
        return len(self._reading.spec.methods) * len(self._reading.spec.seeds)

    def _model(self) -> Model:
        name = self._run.model.name
        folder = find_model(name, local_folders=self._surroundings.local_models)
        return Model(folder, architecture(name), context_length(name))

    def _split(self) -> Split:
        data, most = self._surroundings.kept_data(self._run.data), self._surroundings.most_generated
        if isinstance(data.source, TaskSource) and most is not None:
            source = data.source.model_copy(update={"examples": min(data.source.examples, most)})
            data = data.model_copy(update={"source": source, "held_out": min(data.held_out, most)})
        return load_split(data, self._resolve)

    def _data(self, split: Split, model: Model) -> _Data | None:
        tokenizer = self._attempt(lambda: load_tokenizer(self._run.model.name))
        if tokenizer is None:
            return None

        def read(examples: Sequence[Example]) -> Tokenised:
            wanted = self._while_wanted(examples)
            return tokenise_all(wanted, tokenizer, self._run.data, self._run.sampling, model.context)

        counted = _first(split.training, self._surroundings.most_characters)
        training = self._attempt(lambda: read(counted))
        held_out = self._attempt(lambda: read(_first(split.held_out, self._surroundings.most_characters)))
        if training is None or held_out is None:
            return None
        if not training.examples:
            # Of a part of the data, all may be too long and the rest not.
            self._problems += no_examples().problems if len(counted) == self._sizes(split)[0] else ()
            return None
        # Of those held out, as many are too long as of those that were counted.
        all_training, all_held_out = self._sizes(split)
        kept = round(len(held_out.examples) * all_held_out / max(1, len(held_out.examples) + held_out.dropped))
        scale = all_training / len(counted)
        return _Data(training, min(kept, all_held_out), scale, overlap(split.training, split.held_out))

    def _while_wanted(self, examples: Sequence[Example]) -> Iterator[Example]:
        for example in examples:
            self._surroundings.still_wanted()
            yield example

    def _sizes(self, split: Split) -> tuple[int, int]:
        """Return how many examples the run trains on and holds out, those that were not generated here included."""
        data = self._run.data
        if isinstance(data.source, TaskSource):
            return data.source.examples, data.held_out
        return len(split.training), len(split.held_out)

    def _estimates(self, model: Model, data: _Data) -> Estimates:
        """As much of them as follows from what was given."""
        given, run = self._reading.is_given, self._run
        found = Estimates(runs=self._runs)
        if not given("training.batch_size", "training.micro_batch_size"):
            return found
        epoch = Epoch.of(data.training.examples, epoch_batches(data.training.examples, run))
        if data.scale > 1:
            epoch = epoch.scaled(data.scale, steps_per_epoch(run, data.examples))
        costs: dict[str, object] = {"tokens": _tokens(epoch, data)}
        if given("training", "model"):
            free, total = self._surroundings.machine.memory_free, self._surroundings.machine.memory_total
            costs["memory"] = memory_of(run, model, data.training.examples, free)
            self._attempt(lambda: check_memory_of(run, model, data.training.examples, total))
        if given("training", "model", "objective", "evaluation", "seeds", "methods"):
            costs |= self._of_all_runs(model, data, epoch)
        elif given("training"):
            costs["steps"] = steps_of(run, epoch, data.examples)
        return found.model_copy(update=costs)

    def _of_all_runs(self, model: Model, data: _Data, epoch: Epoch) -> dict[str, object]:
        steps, machine = steps_of(self._run, epoch, data.examples), self._surroundings.machine
        runs = self._reading.spec.expand()
        times = [time_of(label, spec, model, epoch, machine, self._surroundings.earlier) for label, spec in runs]
        return {
            "steps": steps,
            "disk": disk_of([spec for _, spec in runs], model, steps, epoch, data.examples, machine.disk_free),
            "time": all_times(times),
            "time_by_run": tuple(time for time in times if time),
        }


def _tokens(epoch: Epoch, data: _Data) -> TokenEstimate:
    return TokenEstimate(
        examples=data.examples,
        held_out=data.held_out,
        truncated=round(data.scale * data.training.truncated),
        dropped=round(data.scale * data.training.dropped),
        prompt=epoch.prompt_tokens,
        response=epoch.response_tokens,
        tail=epoch.tail_tokens,
        longest=epoch.longest,
        padding=epoch.padding,
        counted=len(data.training.examples),
    )


def _first(examples: Sequence[Example], most_characters: int | None) -> Sequence[Example]:
    """As many as have so many characters, at least one; all where there is no limit."""
    if most_characters is None:
        return examples
    lengths = accumulate(len(example.prompt) + len(example.response) for example in examples)
    return examples[: sum(1 for _ in takewhile(lambda length: length <= most_characters, lengths)) or 1]
