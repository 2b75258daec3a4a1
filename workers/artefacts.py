"""Where the files of jobs are: in a local folder, of which other hosts may see what is kept at an fsspec URL."""

from __future__ import annotations

import re
import shutil
import threading
from collections import defaultdict
from pathlib import Path

from gift_core.errors import GiftError
from gift_core.scratch import written_beside
from workers.remote_artefacts import Contents, RemoteArtefacts, contents_of

# An id or a name that the program chose: a folder is also a key at the URL.
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


class ArtefactsMissing(GiftError):  # noqa: N818
    """There are no files of that name."""

    code = "not_found"


class Artefacts:
    """Folders of files, named by ids: `jobs/jo_1/checkpoint`. Each has one writer at a time.

    Without a URL a folder is in place as soon as it is written, and `keep` and `bring` have nothing to do. With one,
    the folder below `root` is a copy; others see a new version when it is whole, and the one before until then.
    Raises `LocationError` for a URL that cannot be; what needs the URL's server raises `ArtefactsUnavailable`.
    """

    def __init__(self, root: Path, url: str | None = None) -> None:
        self._root = root
        self._remote = RemoteArtefacts(url) if url else None
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def path(self, folder: str) -> Path:
        """Where the folder is, or will be, on this machine."""
        return self._root / _checked(folder)

    def keep(self, folder: str) -> None:
        """Upload what has changed since the version that is kept. Nothing may write to the folder meanwhile.

        Raises `ArtefactsMissing` when there is no such folder here.
        """
        path = self.path(folder)
        if not path.is_dir():
            raise _missing(folder)
        if self._remote:
            self._remote.put(folder, path)

    def bring(self, folder: str) -> Path:
        """The folder on this machine, as it was last kept; what is here and was not kept is replaced.

        Raises `ArtefactsMissing`, and `ArtefactDamaged` when something at the URL is not what was kept there.
        """
        path = self.path(folder)
        with self._turns[folder]:
            if self._remote:
                self._fetch(self._remote, folder, path)
            elif not path.is_dir():
                raise _missing(folder)
        return path

    def read(self, folder: str, name: str, start: int | None, size: int) -> tuple[bytes, int] | None:
        """A part of one file as it was last kept at the URL: see `RemoteArtefacts.read`."""
        return self._remote.read(_checked(folder), name, start, size) if self._remote else None

    def exists(self, folder: str) -> bool:
        if self._remote:
            return self._remote.contents(folder) is not None
        return self.path(folder).is_dir()

    def size(self, folder: str) -> int:
        """Bytes of the files in it; 0 where there is none."""
        path = self.path(folder)
        if self._remote:
            found = self._remote.contents(folder) or Contents()
            return sum(file.size for file in found.files.values())
        return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())

    def remove(self, folder: str) -> None:
        """The folder and all below it, here and at the URL; does nothing where there is none."""
        if self._remote:
            self._remote.remove(_checked(folder))
        shutil.rmtree(self.path(folder), ignore_errors=True)

    def ping(self) -> None:
        """Raises `ArtefactsUnavailable` unless the URL's server answers and lets us in."""
        if self._remote:
            self._remote.contents("ping")

    def _fetch(self, remote: RemoteArtefacts, folder: str, path: Path) -> None:
        found = remote.contents(folder)
        if found is None:
            raise _missing(folder)
        if path.is_dir() and contents_of(path) == found:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path) as beside:
            remote.get(folder, beside)


def _checked(folder: str) -> str:
    if not all(_PART.fullmatch(part) for part in folder.split("/")):
        raise ValueError(f"not the name of a folder of artefacts: {folder!r}")
    return folder


def _missing(folder: str) -> ArtefactsMissing:
    return ArtefactsMissing(
        f"There are no files of {folder}.", remedy="They were removed, or the job has not left any; run it again."
    )
