"""Everything the backend asks of the job system, behind one object."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from socket import gethostname
from typing import Any

from pydantic import SecretStr

from gift_core.errors import GiftError
from gift_core.models.catalogue import offered_models
from gift_core.reporting import CHECKPOINT
from gift_core.spec import ExperimentSpec, RunSpec, micro_batch_size
from workers.accounts import AccountStore
from workers.audit import AuditLog
from workers.checking.checker import Checker, InThisProcess
from workers.chores import chores_of
from workers.context import LOG_FILE
from workers.counts import Counts
from workers.database import Database
from workers.dataset_records import DatasetRecords
from workers.dataset_uses import jobs_in_need, with_kept_data
from workers.datasets import DatasetStore
from workers.devices import Device, DevicePool, find_devices
from workers.disk import GIGABYTE, FileSizes
from workers.experiments import DEFAULT, LaunchOptions
from workers.health.probe import Probe
from workers.job_log import LogPart, part_of, read_from, read_tail
from workers.keys import Claim, Keys
from workers.kinds import KINDS, job_directory
from workers.launch_checks import require_again, require_devices, require_trainable
from workers.lifecycle import aside
from workers.lifecycle.actions import has_lost_its_start
from workers.observations import JobFilter
from workers.queue import JobQueue
from workers.readiness import check_disk
from workers.reading.documents import Bounds
from workers.reading.readers import Readers
from workers.reaper import Reaper
from workers.recorded import install
from workers.records import ACTIVE, ENDED, Experiment, Job, JobKind, JobState, StopMode
from workers.secrets import Secrets
from workers.settings import Settings, job_environment, push_environment
from workers.sharing import Sharing
from workers.startup.data_folder import check_data_folder, warn_of_readers
from workers.store import ConflictError, JobStore
from workers.supervisor import Patience, Supervisor, gate_of, job_command
from workers.worker import Worker

logger = logging.getLogger(__name__)

_MEGABYTE = 2**20
# Jobs of one kind and one account; a person waits for them in front of a page. Trainings are launched by the hundred.
_MOST_WAITING = 32


@dataclass(frozen=True)
class Checkpoint:
    """A model to inspect or to sample from. Base models have no `experiment` (an id) and no `directory`."""

    id: str
    label: str
    experiment: str | None = None
    directory: Path | None = None


class Studio:
    """The jobs, the data sets and the queue of one data directory.

    `checker` answers what needs torch; without one, this process does. The studio closes it.
    """

    def __init__(self, settings: Settings, checker: Checker | None = None) -> None:
        self.settings = settings
        self.data = check_data_folder(settings.data_dir)
        self.trace_files = self.data / "traces"
        database = database_of(settings)
        self.store = JobStore(database)
        self.accounts = AccountStore(database, settings.password)
        self.audit = AuditLog(database)
        self.queue = JobQueue(_location(settings.queue_url) or self.data / "queue.sqlite3")
        self.sharing = Sharing(self.data, _location(settings.artefacts_url))
        self.secrets = Secrets(settings.hub_token)
        self.checker = checker or InThisProcess()
        self.keys = Keys(database)
        bounds = Bounds.for_files_of(settings.upload_limit_mb * _MEGABYTE)
        self.readers = Readers(bounds, lambda: job_environment(threads=1))
        self.datasets = DatasetStore(
            self.data / "datasets",
            DatasetRecords(database),
            settings.upload_limit_mb * _MEGABYTE,
            self.readers,
            lambda dataset: jobs_in_need(self.store, dataset),
            self.sharing,
            self.check_room,
        )
        self.counts = Counts(self.store.database.read)
        self.sizes = FileSizes(self.data)
        self.probe = Probe(self.data, self.floor_bytes)
        self._worker: Worker | None = None
        warn_of_readers(self.data)

    # Asking for jobs

    def launch(
        self, spec: ExperimentSpec, claim: Claim | None, options: LaunchOptions = DEFAULT, by: str = ""
    ) -> tuple[Experiment, bool]:
        """Check, create and queue an experiment, or return the one that the same request already made, with False.

        Raises the `GiftError` that training would raise, or `KeyConflictError`; then nothing is created.
        """
        if self.keys.made(claim) is None:
            self.check_room()
            data = with_kept_data(spec.run.data, self.datasets)
            spec = spec.model_copy(update={"run": spec.run.model_copy(update={"data": data})})
            require_devices(options, self.store.workers())
            micro_batch_size(spec.run, options.devices)
            self.check(spec.run)
        experiment, created = self.store.create_experiment(spec, claim, options, by)
        if created:
            for run in self.store.runs(experiment.id):
                self._wake(run)
        return experiment, created

    def submit(self, job: Job, by: str = "", claim: Claim | None = None) -> Job:
        """Queue a job, or take up again the one with its id if that has ended without finishing.

        With a `claim` it is the one that the same request already made, however that is now. Raises `ConflictError`
        when too many of its kind wait for the same account, unless it is a training or an admin's.
        """
        if (made := self.made(claim)) is not None:
            return made
        for known in self.store.jobs_with({job.id}):
            if _is_there(known):
                return known
            if known.state == JobState.FINISHED:
                # There is nothing to answer with any more: it is made again.
                self.store.remove(known.id)
        self.check_room()
        if job.kind != JobKind.TRAIN:
            self._check_line(JobKind(job.kind), by)
        job.created_by = by
        known, created = self.store.add_job(job, by, claim)
        if not created and known.state in ENDED - {JobState.FINISHED}:
            known = self.store.requeue(known.id, by, "asked for again")
        if known.state == JobState.QUEUED:
            self._wake(known)
        return known

    def made(self, claim: Claim | None) -> Job | None:
        """The job that the same request has made already."""
        identity = self.keys.made(claim)
        return next(iter(self.store.jobs_with({identity})), None) if identity else None

    def check(self, run: RunSpec) -> None:
        """Raises the `GiftError` that training it would raise. None of this depends on method and seed."""
        require_trainable(self, run)

    def unmade(self, claim: Claim | None) -> int:
        """How many jobs a request for a new one will queue: none where its job is there."""
        return int(self.made(claim) is None)

    def missing(self, ids: Collection[str]) -> int:
        """How many of these jobs would be queued if they were asked for: the others wait, run, or have finished."""
        return len(set(ids) - {job.id for job in self.store.jobs_with(set(ids)) if _is_there(job)})

    def new_job(self, kind: JobKind, identity: str, label: str, order: Any) -> Job:
        """The record of a job that runs beside a training where there is no GPU, and waits for one where there is."""
        # A CPU has no memory of its own that a training could have filled.
        devices = int(KINDS[kind].needs_device and self.has_gpus())
        return Job(id=identity, kind=kind, label=label, spec=order.model_dump(mode="json"), devices=devices)

    def stop(self, job_id: str, by: str, mode: StopMode = StopMode.SAVE) -> Job:
        """Take a job off the queue, ask a running one to stop, leave an ended one alone. Raises `NotFoundError`.

        Taking it off the queue deletes nothing: it is what it was before it was queued. One that had started over, and
        has no checkpoint yet, is what it was before that.
        """
        waited = self.store.job(job_id).state == JobState.QUEUED
        job = self.store.request_stop(job_id, by, mode)
        if job.state == JobState.STOPPED:
            self.secrets.drop(job_id)
        return self.undo(job_id, by) if waited and has_lost_its_start(job) else job

    def resume(self, job_id: str, by: str, *, fresh: bool = False) -> Job:
        """Go on with a job that has ended without finishing, or begin it at step 0 if `fresh`: see `undo`.

        Raises `NotFoundError`, or `ConflictError` for one that has finished.
        """
        self.check_room()
        require_again(self, self.store.job(job_id))
        job = self.store.requeue(job_id, by, "started over" if fresh else "resumed", fresh=fresh)
        self._wake(job)
        return job

    def undo(self, job_id: str, by: str) -> Job:
        """Bring back what a job had before it started over, or was discarded; a new attempt ends first.

        Raises `NotFoundError`, or `ConflictError` if it has nothing that can be brought back.
        """
        job = self.store.job(job_id)
        if job.aside_attempt is None:
            raise _nothing_to_undo(job)
        if job.state in ACTIVE:
            return self.store.request_stop(job_id, by, StopMode.RESTORE)
        if job.host != gethostname():
            # What an earlier look has fetched would be mixed with it.
            self.sharing.bring_files(job, instead=True)
        directory = job_directory(self.data, job)
        removed: list[Path] = []

        def put_back(first: int, last: int) -> None:
            removed.extend(aside.put_back(directory, first, last))

        brought = self.store.bring_back(job_id, by, "what it had before was brought back", put_back)
        aside.remove(removed)
        if brought is None:
            # A worker has just taken it, or somebody else was faster.
            job = self.store.job(job_id)
            if job.state in ACTIVE and job.aside_attempt is not None:
                return self.store.request_stop(job_id, by, StopMode.RESTORE)
            raise _nothing_to_undo(job)
        if removed:
            self._share(brought)
        return brought

    def remove(self, job_id: str) -> None:
        """Forget an ended job and remove its files. Raises `NotFoundError`, or `ConflictError` for a pinned one."""
        job = self.store.job(job_id)
        removed: list[Path] = []
        # In one step with the record: what is asked for again under its id must not lose its files.
        self.store.remove(job_id, lambda: removed.extend(aside.out_of_the_way(job_directory(self.data, job))))
        self.sharing.remove(job)
        aside.remove(removed)

    # What there is

    def show_recording(self) -> None:
        """Put the recorded experiment into a studio without any, so that every page has something to show."""
        if not self.store.experiments(limit=1):
            install(self.store, self.data / KINDS[JobKind.TRAIN].folder)

    def log(self, job_id: str, tail_bytes: int = 64_000) -> str:
        """The end of a job's log, "" before there is one. Raises `NotFoundError`."""
        return self.log_part(job_id, tail_bytes).text

    def log_part(self, job_id: str, size: int, start: int | None = None) -> LogPart:
        """At most `size` bytes of a job's log: its end, or those from `start` on. Raises `NotFoundError`."""
        job = self.store.job(job_id)
        if job.host != gethostname() and (found := self.sharing.read(job, LOG_FILE, start, size)) is not None:
            return part_of(*found)
        path = job_directory(self.data, job) / LOG_FILE
        return read_tail(path, size) if start is None else read_from(path, start, size)

    def files(self, job: Job) -> Path:
        """Where a job's files are or will be; those of a job of another host are fetched first."""
        if job.host != gethostname():
            self.sharing.bring_files(job)
        return job_directory(self.data, job)

    def checkpoints(self, limit: int | None = None) -> list[Checkpoint]:
        """The base models, then what runs made of them, newest experiment first."""
        bases = [Checkpoint(entry.name, entry.title) for entry in offered_models()]
        return bases + [self._checkpoint(run) for run in self.store.trained(limit)]

    def find_checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint with that id."""
        for entry in offered_models():
            if entry.name == name:
                return Checkpoint(entry.name, entry.title)
        run = self.store.trained_run(name)
        return self._checkpoint(run) if run else None

    @cached_property
    def own_devices(self) -> list[Device]:
        """What the embedded worker computes on."""
        settings = self.settings
        return find_devices(settings.devices, settings.cuda_visible_devices) if settings.embedded_worker else []

    def has_gpus(self) -> bool:
        """Whether this or any other worker has a GPU."""
        others = (Device(**device) for worker in self.store.workers() for device in worker.devices)
        return any(device.kind == "cuda" for device in chain(self.own_devices, others))

    def check_room(self) -> None:
        """Raises `DiskFullError` where there is no room for another job, and `NotReadyError` where the machine lets
        none be carried out."""
        check_disk(self)
        self.probe.check()

    @property
    def floor_bytes(self) -> int:
        """The bytes that stay free on the disk."""
        return int(self.settings.disk_floor_gb * GIGABYTE)

    @property
    def embedded(self) -> Worker | None:
        """The worker in this process, once it is made."""
        return self._worker

    # The worker

    def worker(self, *, announced_here: bool = True) -> Worker:
        """A worker for this studio's queue, whose jobs this process announces or another. Not started yet."""
        settings = self.settings
        pool = DevicePool(self.own_devices, settings.side_slots)
        supervisor = Supervisor(
            self.store,
            self.sharing,
            job_command(self.data),
            self._environment,
            Patience(settings.lease_seconds, settings.stop_grace_seconds),
            gate_of(self.store, self.sharing, self.floor_bytes),
        )
        reaper = Reaper(self.store, settings.lease_seconds)
        self._worker = Worker(
            self.store,
            self.queue,
            supervisor,
            pool,
            reaper,
            housekeeping=chores_of(self),
            announced_here=announced_here,
        )
        return self._worker

    def _environment(self, job: Job) -> dict[str, str]:
        threads = self.settings.training_threads if job.devices else self.settings.side_threads
        environment = job_environment(threads)
        if job.kind == JobKind.PUSH:
            environment |= push_environment(self.secrets.hand_out(job.id, own=job.spec["own_token"]))
        return environment

    def _share(self, job: Job) -> None:
        try:
            self.sharing.keep(job)
        except GiftError:
            # The next attempt, on whichever host, puts its files to where its record says that they belong.
            logger.exception("what job %s has left could not be shared", job.id)

    def _check_line(self, kind: JobKind, by: str) -> None:
        if self.accounts.is_admin(by):
            return
        own = JobFilter(kind=kind, states=frozenset({JobState.QUEUED}), created_by=by)
        waiting = self.store.jobs(own, limit=_MOST_WAITING)
        if len(waiting) >= _MOST_WAITING:
            raise ConflictError(
                f"{len(waiting)} of your jobs of this kind are waiting.", remedy="Try again when some have ended."
            )

    def close(self) -> None:
        self.checker.close()
        self.readers.close()
        self.queue.close()
        self.store.close()

    def _wake(self, job: Job) -> None:
        try:
            self.queue.wake(job.id)
        except GiftError:
            # Workers look for what waits from time to time, message or not.
            logger.warning("job %s could not be announced", job.id)

    def _checkpoint(self, run: Job) -> Checkpoint:
        stopped = run.state != JobState.FINISHED
        label = f"{run.label}, stopped at step {run.step}" if stopped else run.label
        return Checkpoint(run.id, label, run.experiment_id, job_directory(self.data, run) / CHECKPOINT)


def _nothing_to_undo(job: Job) -> ConflictError:
    return ConflictError(
        f"{job.label} has nothing to bring back.",
        field="id",
        remedy="A discard can be undone for a minute, a new start until it has its first checkpoint.",
    )


def _is_there(job: Job) -> bool:
    """Whether nothing has to be done to answer with it, now or when it has ended."""
    if job.state == JobState.FINISHED:
        return job.files_removed is None
    return job.state in ACTIVE or job.state == JobState.QUEUED


def _location(url: SecretStr | None) -> str | None:
    return url.get_secret_value() if url else None


def database_of(settings: Settings) -> Database:
    """The store's, wherever the settings say that it is."""
    url = _location(settings.store_url)
    return Database(url) if url else Database.in_file(settings.data_dir.resolve() / "studio.sqlite3")
