"""What is worth telling somebody about: ends, failures, stalls and collapses, each once for every attempt."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from workers.alarms import BASELINE_REPORTS, ENTROPY, Alarm, EntropyWatch, StallWatch
from workers.outbox import Change, Message, Outbox
from workers.records import ACTIVE, Job, JobState
from workers.store import JobStore

EVENTS = ("finished", "failed", "nan_loss", "stalled", "entropy_collapse")
# Nobody wants to hear of what ended while nothing was sent for days.
_NEWS_SECONDS = 24 * 3600
# Where the first reports of a training are looked for, among its first points.
_FIRST_POINTS = 100
_NOT_A_NUMBER = "nan_loss"


class Notifier:
    """Puts messages into the outbox, for the receivers with these keys. Call `look` every second or so.

    Several processes may: what one has put there the others do not put there again.
    """

    def __init__(
        self, store: JobStore, outbox: Outbox, targets: Collection[str], stall_seconds: float, collapse_share: float
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._targets = targets
        self._stalls = StallWatch(stall_seconds)
        self._entropies = EntropyWatch(collapse_share, self._first_entropies)
        self._is_new = True

    def look(self) -> None:
        self._look_at_changes()
        running = self._store.active()
        alarms = self._stalls.look(running) + self._entropies.look(running)
        if alarms:
            self._outbox.put([_of_alarm(alarm) for alarm in alarms], self._targets)

    def _look_at_changes(self) -> None:
        while True:
            changes, seen = self._outbox.unseen()
            messages = [message for change in changes if (message := _of_change(change))]
            if changes or self._is_new:
                self._outbox.put(messages, self._targets, seen)
                self._is_new = False
            if not changes:
                return

    def _first_entropies(self, job_id: str) -> Sequence[float]:
        points = self._store.metrics([job_id], after=0, limit=_FIRST_POINTS)
        return [point.values[ENTROPY] for point in points if ENTROPY in point.values][:BASELINE_REPORTS]


def _of_change(change: Change) -> Message | None:
    """None where it is nothing to tell: it goes on by itself, was stopped on request, or is long ago."""
    made, job = change.transition, change.job
    if made.before not in ACTIVE or time.time() - made.time > _NEWS_SECONDS:
        return None
    if made.after == JobState.FINISHED:
        return _message(job, change.attempt, "finished", made.time, f"{job.label} has finished.")
    # An interrupted job that waits again, or has been taken again, goes on.
    is_last = change.attempt == job.attempt and job.state == made.after
    if made.after != JobState.FAILED and not (made.after == JobState.INTERRUPTED and is_last):
        return None
    failure = job.failure if is_last and job.failure else {"code": made.cause, "message": made.cause}
    event = _NOT_A_NUMBER if failure["code"] == _NOT_A_NUMBER else "failed"
    said = " ".join(filter(None, (failure.get("message"), failure.get("remedy"))))
    return _message(job, change.attempt, event, made.time, f"{job.label} failed: {said}", failure=failure)


def _of_alarm(alarm: Alarm) -> Message:
    job, values = alarm.job, alarm.values
    if alarm.event == "stalled":
        text = f"{job.label} has reported nothing for {values['seconds'] / 60:.0f} minutes, though its worker is alive."
    else:
        fell = f"from {values['at_the_start']:.3g} to {values['entropy']:.3g} nats"
        text = f"{job.label} has become certain of nearly everything: its mean entropy fell {fell}."
    return _message(job, job.attempt, alarm.event, time.time(), text, values=values)


def _message(job: Job, attempt: int, event: str, when: float, text: str, **details: Any) -> Message:
    about = {
        "id": job.id,
        "kind": job.kind,
        "label": job.label,
        "experiment": job.experiment_id,
        "attempt": attempt,
        "step": job.step,
        "total_steps": job.total_steps,
    }
    body = {"event": event, "time": when, "text": _plain(text), "job": about, **details}
    return Message(job.id, attempt, event, body)


def _plain(text: str) -> str:
    """As chat programs take it: a label must not be able to mention everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
