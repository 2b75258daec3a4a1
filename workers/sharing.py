"""Moves the files of jobs between this host and the others, where there are any."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from gift_core.errors import GiftError
from gift_core.recovery import is_complete
from gift_core.reporting import METRICS_FILE, TRAINER_DIRECTORY
from gift_core.scratch import written_beside
from workers.artefacts import Artefacts, ArtefactsMissing
from workers.context import JOB_FILE, LOG_FILE, JobFile, is_lease
from workers.inputs import inputs_of
from workers.kinds import KINDS, job_directory
from workers.records import Job, JobKind

logger = logging.getLogger(__name__)

STAGED = "shared"
_DATASETS = "datasets"
_RUNS = KINDS[JobKind.TRAIN].folder
# Between two versions of what a running job has so far: its log, and checkpoints to resume from.
_EVERY_SECONDS = 20.0
# These are still appended to; everything else is written once.
_GROWING = (LOG_FILE, METRICS_FILE)


class Sharing:
    """Files of the studio in `data`, and what of them other hosts see at `url`; without one there is nothing to do.

    A folder is staged before it is kept: links to files that are whole, copies of those that grow. So nothing changes
    while it is uploaded, and what is brought never overwrites what this host is writing.
    """

    def __init__(self, data: Path, url: str | None, every_seconds: float = _EVERY_SECONDS) -> None:
        self.data = data
        self._artefacts = Artefacts(data / STAGED, url) if url else None
        self._every_seconds = every_seconds

    def bring(self, job: Job) -> None:
        """Have here what an attempt at the job needs, and what earlier ones have left. Raises a `GiftError`."""
        if self._artefacts is None:
            return
        needed = inputs_of(job)
        for dataset in needed.datasets:
            self.bring_dataset(dataset)
        for checkpoint in needed.checkpoints:
            self.bring_run(checkpoint)
        if not self._was_here(job):
            self._fetch(_key(job), job_directory(self.data, job), instead=True)

    def bring_run(self, run_id: str) -> None:
        """Have a run's files here; nothing happens for the name of a base model."""
        self._fetch(f"{_RUNS}/{run_id}", self.data / _RUNS / run_id)

    def bring_files(self, job: Job, *, instead: bool = False) -> None:
        """Have here what the job has left so far, `instead` of what is here if that is older."""
        self._fetch(_key(job), job_directory(self.data, job), instead=instead)

    def keep(self, job: Job) -> None:
        """Let others see what the job has left. Raises `ArtefactsUnavailable`."""
        if self._artefacts is None:
            return
        source = job_directory(self.data, job)
        _stage(_whole_files(source), source, self._artefacts.path(_key(job)))
        self._artefacts.keep(_key(job))

    def keep_dataset(self, file: Path) -> None:
        """Let others see an uploaded file. Raises `ArtefactsUnavailable`."""
        if self._artefacts is None:
            return
        key = f"{_DATASETS}/{file.stem}"
        _stage([file], file.parent, self._artefacts.path(key))
        self._artefacts.keep(key)

    def read(self, job: Job, name: str, start: int | None, size: int) -> tuple[bytes, int] | None:
        """A part of one file of a job of another host, without the others: see `RemoteArtefacts.read`."""
        return self._artefacts.read(_key(job), name, start, size) if self._artefacts is not None else None

    def bring_dataset(self, dataset_id: str) -> None:
        """Have an uploaded file here. Raises `ArtefactsUnavailable`."""
        self._fetch(f"{_DATASETS}/{dataset_id}", self.data / _DATASETS)

    def remove_dataset(self, dataset_id: str) -> None:
        """Let nobody else see an uploaded file any more. Raises `ArtefactsUnavailable`."""
        if self._artefacts is not None:
            self._artefacts.remove(f"{_DATASETS}/{dataset_id}")

    @contextmanager
    def sharing(self, job: Job, is_ours: Callable[[], bool]) -> Iterator[None]:
        """Keep what the job has so far, from time to time, until the block ends, and while it `is_ours`.

        A worker that stood still, and wakes up, would put what it has over what its successor has kept.
        """
        if self._artefacts is None:
            yield
            return
        over = threading.Event()

        def share() -> None:
            while not over.wait(self._every_seconds):
                try:
                    if is_ours():
                        self.keep(job)
                except (GiftError, OSError) as error:
                    logger.warning("what job %s has so far could not be shared: %s", job.id, error)

        thread = threading.Thread(target=share, name=f"sharing-{job.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def folders(self, job: Job) -> list[Path]:
        """Where this host has files of the job: those that it uses, and the copy that others see."""
        copies = [self._artefacts.path(_key(job))] if self._artefacts is not None else []
        return [job_directory(self.data, job), *copies]

    def remove(self, job: Job) -> None:
        """Remove the job's files, here and for the others."""
        if self._artefacts is not None:
            self._artefacts.remove(_key(job))
        shutil.rmtree(job_directory(self.data, job), ignore_errors=True)

    def ping(self) -> None:
        """Raises `ArtefactsUnavailable` unless files can be shared."""
        if self._artefacts is not None:
            self._artefacts.ping()

    def _was_here(self, job: Job) -> bool:
        """Whether the attempt before this one was on this host: then what is here is newer than what was shared."""
        try:
            last = JobFile.model_validate_json((job_directory(self.data, job) / JOB_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            # What cannot be read now is raised: newer files would be replaced because of it.
            return False
        return last.attempt == job.attempt - 1

    def _fetch(self, key: str, target: Path, *, instead: bool = False) -> None:
        """Bring a folder, and put its files to where they are used; what is not kept anywhere is left as it is.

        `instead` of what is here: an older attempt's checkpoints would be gone on from.
        """
        if self._artefacts is None:
            return
        try:
            staged = self._artefacts.bring(key)
        except (ArtefactsMissing, ValueError):
            return
        wanted = {path.relative_to(staged): path for path in staged.rglob("*") if path.is_file()}
        for name, path in wanted.items():
            _put(path, target / name)
        if not instead:
            return
        for path in [path for path in target.rglob("*") if path.is_file()]:
            # The lease of the attempt that begins is there already, or half written.
            if path.relative_to(target) not in wanted and not is_lease(path.name.removeprefix(".")):
                path.unlink(missing_ok=True)
        _remove_empty_folders(target)


def _key(job: Job) -> str:
    return f"{KINDS[JobKind(job.kind)].folder}/{job.id}"


def _whole_files(directory: Path) -> Iterator[Path]:
    """The files that count: no half-written ones, and no checkpoint that is not sealed."""
    unsealed = {path for path in (directory / TRAINER_DIRECTORY).glob("*") if path.is_dir() and not is_complete(path)}
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        # Which attempt was last is different on every host.
        is_own = is_lease(path.name) or path.name == JOB_FILE
        if path.is_file() and not hidden and not is_own and not unsealed.intersection(path.parents):
            yield path


def _remove_empty_folders(directory: Path) -> None:
    """Remove folders whose files are gone: an empty `aside` would count as one that a crash has left."""
    for folder in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        # One that is not empty stays.
        with suppress(OSError):
            folder.rmdir()


def _stage(files: Iterable[Path], source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(target) as beside:
        beside.mkdir()
        for path in files:
            _put(path, beside / path.relative_to(source))


def _put(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two jobs of one worker may need the same file at once.
    beside = target.with_name(f".{target.name}.{threading.get_ident()}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    if path.name in _GROWING or path.suffix == ".jsonl":
        shutil.copyfile(path, beside)
    else:
        os.link(path, beside)
    beside.replace(target)
