"""Folders at an fsspec URL, such as a bucket: versions that appear whole, and are checked when they are read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError, field_validator

from gift_core.errors import GiftError
from workers.health.faults import NO_ROOM
from workers.locations import LocationError, ServiceUnavailable, check_artefacts_url, without_secrets
from workers.settings import ARTEFACTS_URL

_MANIFEST = "manifest.json"
# How often a version may be replaced by the next while it is read.
_ATTEMPTS = 3
_CONNECT_SECONDS, _ANSWER_SECONDS, _FURTHER_TRIES = 5, 60, 2


class ArtefactsUnavailable(ServiceUnavailable):
    """The place where artefacts are kept does not answer, or does not let us in."""

    code = "artefacts_unavailable"


class ArtefactDamaged(GiftError):  # noqa: N818
    """A kept file is gone, or not what was kept."""

    code = "artefact_damaged"


class KeptFile(BaseModel, frozen=True):
    size: NonNegativeInt
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Contents(BaseModel, frozen=True):
    """The files of a folder, by their path in it. At the URL it makes a version count."""

    files: dict[str, KeptFile] = {}

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, KeptFile]) -> dict[str, KeptFile]:
        # They become paths on this machine, and come from elsewhere.
        for name in files:
            path = PurePosixPath(name)
            if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
                raise ValueError("a file is outside its folder")
        return files

    def digests(self) -> set[str]:
        return {file.sha256 for file in self.files.values()}


def contents_of(directory: Path) -> Contents:
    """What is in a folder on this machine; links, and what they lead to, are not."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(directory).as_posix()] = KeptFile(size=path.stat().st_size, sha256=digest)
    return Contents(files=found)


class RemoteArtefacts:
    """A folder `f` is `f/objects/<digest>`, one for each different file, and `f/manifest.json`, which is written last.

    A version that is cut short never had a manifest, so the one before still counts, and its objects are removed only
    after the next one's manifest is there.
    """

    def __init__(self, url: str) -> None:
        """Raises `LocationError`."""
        self._shown = without_secrets(check_artefacts_url(url))
        self._files, self._base = _open(url)

    def put(self, folder: str, directory: Path) -> None:
        """Make a folder on this machine the version that counts; what is there already is not uploaded again."""
        before = self.contents(folder)
        now = contents_of(directory)
        with self._reached():
            present = self._present(folder)
            for name, file in now.files.items():
                if present.get(file.sha256) != file.size:
                    self._upload(directory / name, self._object(folder, file.sha256))
                    present[file.sha256] = file.size
            if now != before:
                self._write(f"{self._key(folder)}/{_MANIFEST}", now.model_dump_json().encode())
            for digest in (before.digests() if before else set()) - now.digests():
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._object(folder, digest))

    def get(self, folder: str, directory: Path) -> None:
        """Copy the version that counts into a folder, which it makes. Raises `ArtefactDamaged`."""
        found = self.contents(folder)
        for _ in range(_ATTEMPTS):
            if found is None:
                break
            damaged = self._copy(folder, found, directory)
            if not damaged:
                return
            before, found = found, self.contents(folder)
            if found == before:
                raise self._damaged(f"{folder}/{damaged}")
        raise self._damaged(folder)

    def read(self, folder: str, name: str, start: int | None, size: int) -> tuple[bytes, int] | None:
        """At most `size` bytes of one file of the version that counts, its last ones without a `start`, and where they
        begin; None where there is no such file. Nothing is checked: it is not copied whole."""
        for _ in range(_ATTEMPTS):
            found = self.contents(folder)
            if found is None or name not in found.files:
                return None
            file = found.files[name]
            begin = max(0, file.size - size) if start is None else start
            end = min(begin + size, file.size)
            if begin >= end:
                return b"", begin
            with self._reached(), suppress(FileNotFoundError):
                return self._files.cat_file(self._object(folder, file.sha256), start=begin, end=end), begin
        raise self._damaged(f"{folder}/{name}")

    def contents(self, folder: str) -> Contents | None:
        """The version that counts; None where there is none. Raises `ArtefactDamaged`."""
        with self._reached():
            try:
                manifest = self._files.cat_file(f"{self._key(folder)}/{_MANIFEST}")
            except FileNotFoundError:
                return None
        try:
            return Contents.model_validate_json(manifest)
        except ValidationError:
            raise self._damaged(f"{folder}/{_MANIFEST}") from None

    def remove(self, folder: str) -> None:
        """All versions of it, and of folders below it. A version stops counting before its first file goes."""
        key = self._key(folder)
        with self._reached():
            found = self._files.find(key)
            for path in sorted(found, key=lambda path: not path.endswith(f"/{_MANIFEST}")):
                with suppress(FileNotFoundError):
                    self._files.rm_file(path)
            if isinstance(self._files, LocalFileSystem) and self._files.exists(key):
                self._files.rm(key, recursive=True)

    def _present(self, folder: str) -> dict[str, int]:
        """The sizes of the objects that are there, by digest."""
        found = self._files.find(f"{self._key(folder)}/objects", detail=True)
        return {path.rpartition("/")[2]: about["size"] for path, about in found.items()}

    def _copy(self, folder: str, found: Contents, directory: Path) -> str:
        """The name of a file that is not as it should be, or "" when all are."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name, file in found.files.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._reached():
                try:
                    self._files.get_file(self._object(folder, file.sha256), str(target))
                except FileNotFoundError:
                    return name
            with target.open("rb") as copy:
                if hashlib.file_digest(copy, "sha256").hexdigest() != file.sha256:
                    return name
        return ""

    def _upload(self, source: Path, key: str) -> None:
        if isinstance(self._files, LocalFileSystem):
            self._write_beside(key, lambda part: self._files.put_file(str(source), part))
        else:
            self._files.put_file(str(source), key)

    def _write(self, key: str, content: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            self._write_beside(key, lambda part: self._files.pipe_file(part, content))
        else:
            self._files.pipe_file(key, content)

    def _write_beside(self, key: str, write: Any) -> None:
        # A bucket takes an object whole or not at all; a folder has to be helped.
        self._files.makedirs(key.rpartition("/")[0], exist_ok=True)
        write(f"{key}.part")
        self._files.mv(f"{key}.part", key)

    def _object(self, folder: str, digest: str) -> str:
        return f"{self._key(folder)}/objects/{digest}"

    def _key(self, folder: str) -> str:
        return f"{self._base}/{folder}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A full disk of this machine's passes as it is; anything else is the place's fault."""
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            # Every kind of place fails in ways of its own, and what they say may quote what they were given.
            raise ArtefactsUnavailable(
                f"The artefacts at {self._shown} cannot be reached ({type(error).__name__}).",
                field=ARTEFACTS_URL,
                remedy="Start its server or correct the URL and its credentials; what was kept before is still there.",
            ) from None

    def _damaged(self, name: str) -> ArtefactDamaged:
        return ArtefactDamaged(
            f"{name} at {self._shown} is not what was kept there.",
            remedy="Restore it from a backup, or run the job again.",
        )


def _open(url: str) -> tuple[Any, str]:
    """The file system, and the URL's path in it."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "s3":
        options = _s3_options(options)
    try:
        files = fsspec.filesystem(parts.scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except (ImportError, TypeError, ValueError) as error:
        raise LocationError(
            f"{parts.scheme}:// cannot be used ({type(error).__name__}).",
            field=ARTEFACTS_URL,
            remedy="Install the package that fsspec needs for it, and check the options after the question mark.",
        ) from None
    return files, f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def _s3_options(options: dict[str, Any]) -> dict[str, Any]:
    known = {"endpoint_url", "key", "secret", "token", "profile", "region"}
    if unknown := sorted(options.keys() - known):
        raise LocationError(
            f"Unknown options: {', '.join(unknown)}.",
            field=ARTEFACTS_URL,
            remedy=f"An s3:// URL takes {', '.join(sorted(known))}.",
        )
    region = options.pop("region", None)
    return options | {
        "client_kwargs": {"region_name": region} if region else {},
        "config_kwargs": {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _ANSWER_SECONDS,
            "retries": {"max_attempts": _FURTHER_TRIES},
        },
    }
