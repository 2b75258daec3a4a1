"""What the pages are told of an experiment before they launch it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from gift_core.errors import SpecError
from gift_core.machine import Machine
from gift_core.preflight_document import PreflightReport
from gift_core.spec import RunSpec
from workers.dataset_uses import with_kept_data
from workers.datasets import DatasetStore
from workers.store import ConflictError
from workers.turns import Turns

if TYPE_CHECKING:
    from gift_core.preflight_estimates import Earlier

# Reports at once, the one that is being made included: each of them holds a thread that serves the pages as well.
_MOST_WAITING = 8
# Of larger data the first part is counted, so that a report takes about a second; launching looks at all of it.
_MOST_CHARACTERS = 2_000_000
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
    """Synchronous, and a second of a CPU: call it from a thread.

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
        self._turns = Turns()
        self._waiting = threading.Semaphore(_MOST_WAITING)

    def report(self, experiment: object, effect: float) -> PreflightReport:
        """Look at what should be an experiment; `effect` is the difference in score to be told, in shares of 1.

        Raises `ConflictError` where too many are asked for at once.
        """
        # Kept out of the server's start: it imports torch.
        from gift_core.preflight_report import Surroundings, report

        if not self._waiting.acquire(blocking=False):
            raise ConflictError("Too many experiments are being looked at.", remedy="Try again in a moment.")
        try:
            with self._turns:
                surroundings = Surroundings(
                    machine=self._machine(),
                    earlier=self._earlier(),
                    effect=effect,
                    most_characters=_MOST_CHARACTERS,
                    # A look never makes the server download.
                    kept_data=lambda data: with_kept_data(data, self._datasets),
                )
                return report(experiment, self._datasets.path, surroundings)
        finally:
            self._waiting.release()

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
