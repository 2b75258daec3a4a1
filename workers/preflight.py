"""What the pages are told of an experiment before they launch it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from gift_core.errors import SpecError
from gift_core.machine import Machine
from gift_core.preflight_document import PreflightReport
from gift_core.spec import RunSpec
from workers.dataset_uses import with_kept_data
from workers.datasets import DatasetStore

if TYPE_CHECKING:
    from gift_core.preflight_estimates import Earlier

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

    `machine` is asked each time what the one that trains has free; `finished_runs` are those that were trained on the
    device that the next one would have.
    """

    def __init__(
        self,
        datasets: DatasetStore,
        machine: Callable[[], Machine],
        finished_runs: Callable[[], Iterable[FinishedRun]],
    ) -> None:
        self._datasets = datasets
        self._machine = machine
        self._finished_runs = finished_runs

    def report(
        self, experiment: object, effect: float, still_wanted: Callable[[], None] = lambda: None
    ) -> PreflightReport:
        """Look at what should be an experiment; `effect` is the difference in score to be told, in shares of 1.

        `still_wanted` is called between examples, and may raise.
        """
        # Kept out of the server's start: it imports torch.
        from gift_core.preflight_report import Surroundings, report

        surroundings = Surroundings(
            machine=self._machine(),
            earlier=self._earlier(),
            effect=effect,
            most_characters=_MOST_CHARACTERS,
            most_generated=_MOST_GENERATED,
            # A look never makes the server download.
            kept_data=lambda data: with_kept_data(data, self._datasets),
            still_wanted=still_wanted,
        )
        return report(experiment, self._datasets.path, surroundings)

    def _earlier(self) -> list[Earlier]:
        return [found for run in self._finished_runs() if (found := _speed_of(run))]


def _speed_of(run: FinishedRun) -> Earlier | None:
    """None for a run that was too short to tell a speed, or whose spec is of a version that is no longer read."""
    from gift_core.preflight_estimates import Earlier

    if run.tokens_per_second is None or run.step < _FEWEST_STEPS:
        return None
    try:
        return Earlier(RunSpec.parse(run.spec), run.tokens_per_second)
    except SpecError:
        return None
