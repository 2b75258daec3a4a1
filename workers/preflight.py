"""What the pages are told of an experiment before they launch it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gift_core.errors import GiftError
from gift_core.preflight_document import PreflightReport
from gift_core.spec_reading import read_experiment
from workers.checking.checker import Checker
from workers.checking.documents import FinishedRun as Earlier
from workers.checking.documents import KeptData, MakeReport, Place, Reported
from workers.children.faults import Refused
from workers.dataset_uses import file_of, with_kept_data
from workers.datasets import DatasetStore

# Of larger data the first part is counted, so that a report takes about a second; launching looks at all of it.
_MOST_CHARACTERS = 2_000_000
# Problems of one task are alike, and making one takes as long as counting ten.
_MOST_GENERATED = 2000
# The first steps are slower than the others, and would be most of a shorter run.
_FEWEST_STEPS = 20


class FinishedRun(Protocol):
    """What of a run's record says how fast it was."""

    @property
    def spec(self) -> dict[str, Any]: ...
    @property
    def step(self) -> int: ...
    @property
    def tokens_per_second(self) -> float | None: ...


class PreflightService:
    """Synchronous, and a second of a CPU: call it from a thread, one at a time.

    `place` is asked each time about the machine that trains; `finished_runs` are those that were trained on the device
    that the next one would have.
    """

    def __init__(
        self,
        checker: Checker,
        datasets: DatasetStore,
        place: Callable[[], Place],
        finished_runs: Callable[[], Iterable[FinishedRun]],
    ) -> None:
        self._checker = checker
        self._datasets = datasets
        self._place = place
        self._finished_runs = finished_runs

    def report(
        self, experiment: object, effect: float, still_wanted: Callable[[], None] = lambda: None
    ) -> PreflightReport:
        """Look at what should be an experiment; `effect` is the difference in score to be told, in shares of 1.

        `still_wanted` is called now and then, and may raise to end the work.
        """
        question = MakeReport(
            experiment=json.dumps(experiment),
            kept=self._kept(experiment),
            place=self._place(),
            earlier=tuple(found for run in self._finished_runs() if (found := _speed_of(run))),
            effect=effect,
            most_characters=_MOST_CHARACTERS,
            most_generated=_MOST_GENERATED,
        )
        answer = self._checker.ask(question, still_wanted)
        assert isinstance(answer, Reported)
        return answer.report

    def _kept(self, experiment: object) -> KeptData:
        """The data that a report looks at; what is wrong with them is part of it. Nothing is downloaded."""
        data = read_experiment(experiment).spec.run.data
        try:
            kept = with_kept_data(data, self._datasets)
            return KeptData(data=kept, file=file_of(kept, self._datasets))
        except GiftError as error:
            return KeptData(data=data, refused=Refused(code=error.code, problems=error.problems))


def _speed_of(run: FinishedRun) -> Earlier | None:
    """None for a run that was too short to tell a speed."""
    if run.tokens_per_second is None or run.step < _FEWEST_STEPS:
        return None
    return Earlier(spec=run.spec, tokens_per_second=run.tokens_per_second)
