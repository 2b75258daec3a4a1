"""What jobs leave for people: batches of responses, exports, uploads."""

from __future__ import annotations

from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, cast

from pydantic import SecretStr

from workers.experiments import new_id
from workers.keys import Claim
from workers.kinds import EXPORTED, RESPONSES
from workers.launch_checks import require_export, require_push, require_responses
from workers.models import ModelShelf
from workers.orders import DenoiseOrder, ExportOrder, PushOrder, PushSpec
from workers.records import Job, JobKind, JobState
from workers.store import ConflictError, NotFoundError
from workers.studio import Studio


class OutputService:
    """Begins such jobs, and finds their files."""

    def __init__(self, studio: Studio, shelf: ModelShelf) -> None:
        self._studio = studio
        self._shelf = shelf

    def denoise(self, order: DenoiseOrder, by: str = "") -> Job:
        """Respond to a batch of prompts. Raises `ModelError` where there is no such checkpoint."""
        checkpoint = self._shelf.checkpoint(order.checkpoint)
        if self._studio.missing([order.id]):
            require_responses(self._studio, order, checkpoint)
        label = f"{len(order.prompts)} prompts · {checkpoint.label}"
        return self._studio.submit(self._studio.new_job(JobKind.DENOISE, order.id, label, order), by)

    def export(self, order: ExportOrder, by: str = "") -> Job:
        """Write a run as other programs load it. Raises `NotFoundError`, or `ConflictError` for an unfinished one, or
        one whose files were removed."""
        run = self._finished(order.run)
        if self._studio.missing([order.id]):
            require_export(self._studio, order, run)
        label = f"{order.layout or 'export'} · {run.label}"
        return self._studio.submit(self._studio.new_job(JobKind.EXPORT, order.id, label, order), by)

    def push(self, order: PushOrder, token: SecretStr | None, by: str = "", claim: Claim | None = None) -> Job:
        """Upload a run to the Hub, anew unless the same request has begun that already. Without a token the studio's
        own is used.

        Raises what `export` does, and `SpecError` where there is no token, or the repository cannot be called so.
        """
        if (made := self._studio.made(claim)) is not None:
            return made
        require_push(order, token, studio_has_token=self._studio.settings.hub_token is not None)
        run = self._finished(order.run)
        require_export(self._studio, order, run)
        label = f"{order.repository} · {run.label}"
        asked = PushSpec(**order.model_dump(), own_token=token is not None)
        job = self._studio.new_job(JobKind.PUSH, new_id("push"), label, asked)
        identity, kept = job.id, None
        if token is not None:
            # Before it is queued: a worker may take it at once.
            self._studio.secrets.keep(identity, token)
        try:
            kept = self._studio.submit(job, by, claim)
        finally:
            if kept is None or kept.id != identity:
                self._studio.secrets.drop(identity)
        return kept

    def files(self, job_id: str) -> list[tuple[str, Path]]:
        """The files of an ended job by their names, which may have folders in them. Raises `NotFoundError`."""
        job = self._studio.store.job(job_id)
        directory = self._studio.files(job)
        if job.kind == JobKind.DENOISE:
            path = directory / RESPONSES
            return [(RESPONSES, path)] if path.exists() else []
        exported = directory / EXPORTED
        if job.kind != JobKind.EXPORT or job.state != JobState.FINISHED:
            return []
        paths = sorted(path for path in exported.rglob("*") if path.is_file())
        return [(str(path.relative_to(exported)), path) for path in paths]

    def file(self, job_id: str, name: str) -> Path:
        """One of them. The name is compared, never made into a path. Raises `NotFoundError`."""
        for known, path in self.files(job_id):
            if known == name:
                return path
        raise NotFoundError(f"{job_id} has no file {name!r}.", remedy="Pick one from the list of its files.")

    def _finished(self, run_id: str) -> Job:
        run = self._studio.store.job(run_id)
        if run.kind != JobKind.TRAIN or run.state != JobState.FINISHED:
            raise ConflictError(f"{run.label} has not finished.", field="run", remedy="Choose a finished run.")
        if run.files_removed is not None:
            raise ConflictError(f"The files of {run.label} were removed.", field="run", remedy="Train it again.")
        return run


def zipped(files: list[tuple[str, Path]], folder: str) -> Iterator[bytes]:
    """A ZIP archive of the files, made as it is read: a model is never held in memory, or on the disk twice."""
    from zipfile import ZIP_STORED, ZipFile

    sink = _Sink()
    with ZipFile(cast(IO[bytes], sink), "w", ZIP_STORED) as archive:
        for name, path in files:
            with path.open("rb") as source, archive.open(f"{folder}/{name}", "w", force_zip64=True) as target:
                while block := source.read(1 << 20):
                    target.write(block)
                    yield sink.taken()
    yield sink.taken()


class _Sink(RawIOBase):
    """A file that can only be written to, and whose content is taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
