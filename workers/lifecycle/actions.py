"""What may be asked of a job: the one rule for pages, API and command line."""

from __future__ import annotations

from enum import StrEnum

from workers.records import ACTIVE, ENDED, Job, JobKind, JobState, StopMode

# What these have made so far is gone on with; the others begin anew.
_RESUMABLE = frozenset({JobKind.TRAIN, JobKind.EVALUATE, JobKind.DENOISE})


class JobAction(StrEnum):
    """Something that makes sense to ask of a job in its state."""

    STOP = "stop"
    DISCARD = "discard"
    RESUME = "resume"
    RETRY = "retry"
    UNDO = "undo"
    CONTINUE = "continue"
    DELETE = "delete"


def actions_of(job: Job) -> list[JobAction]:
    """Return what may be asked of the job now.

    `stop`: leave the queue, or save and end. `discard`: end and keep nothing. `resume`: continue from the checkpoint.
    `retry`: begin at step 0. `undo`: bring back what a discard or a new start has set aside. `continue`: train the
    weights that there are for longer, as another run.
    """
    if job.state == JobState.QUEUED:
        offered = {JobAction.STOP}
    elif job.state in ACTIVE:
        offered = _of_active(job)
    else:
        offered = _of_ended(job)
    is_undoing = job.state in ACTIVE and job.stop_mode == StopMode.RESTORE
    if job.aside_attempt is not None and not is_undoing:
        offered.add(JobAction.UNDO)
    return [action for action in JobAction if action in offered]


def has_weights(job: Job) -> bool:
    """Whether a run has left weights to look at, and to go on from."""
    return job.kind == JobKind.TRAIN and job.result is not None and job.files_removed is None


def has_lost_its_start(job: Job) -> bool:
    """Whether an ended job has started over and left no checkpoint since."""
    return (
        job.state in ENDED
        and job.aside_attempt is not None
        and job.saved_step is None
        and job.attempt > job.aside_attempt
    )


def _of_active(job: Job) -> set[JobAction]:
    keeps = job.kind in _RESUMABLE
    if job.state == JobState.RUNNING:
        return {JobAction.STOP, JobAction.DISCARD} if keeps else {JobAction.STOP}
    # Saving may take minutes: it can still be decided that nothing is worth keeping.
    saves = job.stop_mode not in (StopMode.DISCARD, StopMode.RESTORE)
    return {JobAction.DISCARD} if keeps and saves else set()


def _of_ended(job: Job) -> set[JobAction]:
    offered: set[JobAction] = set()
    if job.state != JobState.FINISHED:
        offered.add(JobAction.RETRY)
        if job.saved_step is not None and job.files_removed is None:
            offered.add(JobAction.RESUME)
    if has_weights(job):
        offered.add(JobAction.CONTINUE)
    if not job.pinned:
        offered.add(JobAction.DELETE)
    return offered
