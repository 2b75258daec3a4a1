"""Everything the backend asks of the job system, behind one object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gift_core.models.catalogue import offered_models
from gift_core.reporting import CHECKPOINT
from gift_core.spec import ExperimentSpec
from workers.accounts import AccountStore
from workers.audit import AuditLog
from workers.database import Database
from workers.datasets import DatasetStore
from workers.embedded import EmbeddedWorker
from workers.outcome import LOG_FILE, tail
from workers.queue import JobQueue
from workers.recorded import install
from workers.records import Experiment, Run, RunState
from workers.settings import Settings, training_environment
from workers.store import RunStore
from workers.supervisor import Supervisor, training_command

_MEGABYTE = 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A model to inspect or to sample from. Base models have no `experiment` (an id) and no `directory`."""

    id: str
    label: str
    experiment: str | None = None
    directory: Path | None = None


class Studio:
    """The run store, the data sets and the queue of one data directory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        data = settings.data_dir.resolve()
        self._runs = data / "runs"
        self._dataset_files = data / "datasets"
        self._rates = data / "rates"
        self.trace_files = data / "traces"
        self.inspection_files = data / "inspections"
        self.evaluation_files = data / "evaluations"
        database = Database.in_file(data / "studio.sqlite3")
        self.store = RunStore(database)
        self.accounts = AccountStore(database)
        self.audit = AuditLog(database)
        self.queue = JobQueue(data / "queue.sqlite3")
        self.datasets = DatasetStore(self._dataset_files, self.store, settings.upload_limit_mb * _MEGABYTE)

    def launch(self, spec: ExperimentSpec, key: str | None, created_by: str = "") -> tuple[Experiment, bool]:
        """Check, create and queue an experiment, or return the one that `key` already made, with False.

        Raises the `GiftError` that training would raise, or `ConflictError`; then nothing is created.
        """
        if key is None or self.store.experiment_with_key(key) is None:
            self._check(spec)
        experiment, created = self.store.create_experiment(spec, key, created_by)
        if created:
            for run in self.store.runs(experiment.id):
                self.queue.enqueue(run.id)
        return experiment, created

    def show_recording(self) -> None:
        """Put the recorded experiment into a studio without any, so that every page has something to show."""
        if not self.store.experiments(limit=1):
            install(self.store, self._runs)

    def stop(self, run_id: str, by: str) -> Run:
        """Stop a queued run, ask a running one to stop, leave an ended one alone. Raises `NotFoundError`."""
        return self.store.request_stop(run_id, by)

    def log(self, run_id: str, tail_bytes: int = 64_000) -> str:
        """The end of the run's log, "" before there is one. Raises `NotFoundError`."""
        return tail(self.run_directory(run_id) / LOG_FILE, tail_bytes)

    def run_directory(self, run_id: str) -> Path:
        """Where the run's files are or will be. Raises `NotFoundError`."""
        return self._runs / self.store.run(run_id).id

    def checkpoints(self) -> list[Checkpoint]:
        """The base models, then the models of the finished runs, newest experiment first."""
        bases = [Checkpoint(entry.name, entry.title) for entry in offered_models()]
        finished = self.store.runs(state=RunState.FINISHED, limit=None)
        return bases + [
            Checkpoint(run.id, run.label, run.experiment_id, self._runs / run.id / CHECKPOINT) for run in finished
        ]

    def worker(self) -> EmbeddedWorker:
        """A worker for this studio's queue. Not started yet."""
        supervisor = Supervisor(
            self.store,
            self._runs,
            training_command(self._dataset_files, self._rates),
            training_environment(self.settings.training_threads),
            lease_seconds=self.settings.lease_seconds,
        )
        return EmbeddedWorker(self.store, self.queue, supervisor)

    def close(self) -> None:
        self.queue.close()
        self.store.close()

    def _check(self, spec: ExperimentSpec) -> None:
        # Kept out of the studio's start: it imports the tokenizers.
        from gift_core.preflight import check

        # Its runs differ in method and seed, and none of this depends on those.
        check(spec.run, self.datasets.path)
