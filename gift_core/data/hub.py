"""Data sets of the Hugging Face Hub: which of a repository's files are a split, and fetching those files alone.

No code of a repository is run and no address is taken from outside: the Hub is asked for owner/name, and nobody else
for anything.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gift_core.data.files import SUFFIXES, read_rows
from gift_core.data.limits import MOST_UNPACKED
from gift_core.data.texts import is_number, kind_of, number_text
from gift_core.data_spec import HubSource
from gift_core.dataset_summary import HubOrigin
from gift_core.errors import DataError
from gift_core.models.hub import HubName, first_line, refusal

# Where the Hub keeps every data set that it can read as Parquet, as config/split/0000.parquet.
_CONVERTED = "refs/convert/parquet"
_LISTED = 12
# What is not text, as a picture or a date, is an object in JSON: refused if it is read. Null could be passed over.
_LEFT_OUT = "left out"
# How the Hub numbers the parts of a split: 00000-of-00002, or 0000 for what it converted.
_PART = re.compile(r"(^|[-_.])\d+(-of-(?P<total>\d+))?$")


@dataclass(frozen=True)
class HubFiles:
    """The files of one split at one commit, and their sizes in bytes as the Hub gives them."""

    name: HubName
    files: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class _Listing:
    commit: str
    sizes: dict[str, int]


def find_split(source: HubSource) -> HubFiles:
    """Ask the Hub which files hold the split: the repository's own, or else those that the Hub converted.

    Raises `DataError` where there are none, or those of several configurations, or the Hub cannot be asked.
    """
    own = _list(HubName(source.dataset, source.revision), "data.source.dataset")
    listing, files = own, _of_split(own.sizes, source)
    if not files and source.revision is None:
        with suppress(DataError):
            listing = _list(HubName(source.dataset, _CONVERTED), "data.source.dataset")
            files = _of_split(listing.sizes, source)
    if not files:
        raise _no_split(source, [*own.sizes])
    if len(groups := _groups(files)) > 1:
        raise DataError(
            f"Split {source.split} of {source.dataset} is not one list of rows: {', '.join(groups[:_LISTED])}.",
            field="data.source.config",
            remedy="Name the configuration, which is a folder or a part of the files' names.",
        )
    name = HubName(source.dataset, listing.commit)
    return HubFiles(name, tuple(files), sum(listing.sizes[file] for file in files))


def is_offline() -> bool:
    """Whether this process is kept off the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_here(source: HubSource) -> bool:
    """Whether a pinned split lies whole in the local cache; the Hub is not asked."""
    return _cached(source) is not None


def fetch_split(
    source: HubSource, most_bytes: int | None = None, admit: Callable[[int], None] = lambda _: None
) -> tuple[HubFiles, list[Path]]:
    """Return the files of a split in the local cache, downloading those that are not there yet.

    A pinned split that was downloaded before needs no connection. `admit` is called with the size of the split in
    bytes, and may refuse it by raising. Raises `DataError` for a split of more than `most_bytes`. In both cases
    nothing has been downloaded.
    """
    cached = _cached(source)
    found = cached[0] if cached else find_split(source)
    admit(found.bytes)
    if most_bytes is not None and found.bytes > most_bytes:
        raise DataError(
            f"{source.dataset} has {found.bytes / 2**20:,.1f} MB in split {source.split}; the most is "
            f"{most_bytes / 2**20:.3g} MB.",
            field="data.source.dataset",
            remedy="Choose a smaller split, or train from it on the command line with `gift train`.",
        )
    return found, cached[1] if cached else [fetch_file(found.name, file, "data.source.dataset") for file in found.files]


def resolve_split(source: HubSource) -> list[Path]:
    """The split's files; without a connection, those that a pinned revision left in the local cache."""
    return fetch_split(source)[1]


def join_parts(
    parts: Sequence[Path], target: Path, most_bytes: int | None = None, most_unpacked: int = MOST_UNPACKED
) -> bool:
    """Write the parts of a split into one file: one part as it is, several as JSONL; raises `DataError`.

    Each row keeps its number: rows that a part passes over are empty lines. Returns False as soon as the file has more
    than `most_bytes`.
    """
    if len(parts) == 1:
        shutil.copyfile(parts[0], target)
        return most_bytes is None or target.stat().st_size <= most_bytes
    written = 0
    with target.open("w", encoding="utf-8") as file:
        for part in parts:
            last = 0
            for number, row in read_rows(part, "data.source.dataset", most_unpacked):
                if isinstance(row, DataError):
                    raise DataError(row.problems[0].message, field=f"{part.name}, row {number}")
                # All characters are ASCII, so that each is a byte.
                written += file.write("\n" * (number - last - 1) + json.dumps(_plain(row)) + "\n")
                if most_bytes is not None and written > most_bytes:
                    return False
                last = number
    return True


def _plain(value: object) -> object:
    """Return the value as JSON can hold it, so that it is read as it would be from its part."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | bool):
        return value
    # A number's text is what is learned.
    return number_text(value) if is_number(value) else {kind_of(value): _LEFT_OUT}


def origin_of(source: HubSource, found: HubFiles) -> HubOrigin:
    """Where the rows can be fetched again."""
    return HubOrigin(
        repository=source.dataset,
        revision=found.name.revision or "",
        split=source.split,
        config=source.config,
        files=list(found.files),
    )


def fetch_file(name: HubName, file: str, field: str, most_bytes: int | None = None) -> Path:
    """One file of a data set, from the local cache where it lies there and the Hub cannot be reached.

    Raises `DataError`, before anything is fetched for a file of more than `most_bytes`.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    size = 0
    try:
        where = {"repo_type": "dataset", "revision": name.revision}
        if most_bytes is not None and not isinstance(try_to_load_from_cache(name.repository, file, **where), str):
            size = get_hf_file_metadata(hf_hub_url(name.repository, file, **where)).size or 0
        if most_bytes is not None and size > most_bytes:
            raise DataError(
                f"{file} of {name.repository} has {size / 2**20:,.0f} MB; the most is {most_bytes / 2**20:.3g} MB.",
                field=field,
                remedy="Choose a smaller file, or upload a part of it.",
            )
        return Path(hf_hub_download(name.repository, file, repo_type="dataset", revision=name.revision))
    # Errors of the connection come from whichever client the package uses, and share no class of their own.
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise DataError(
                f"{name.repository} has no file {file}.",
                field=field,
                remedy="Check its name on the data set's page.",
            ) from error
        raise _unreachable(error, name, field) from error


def _list(name: HubName, field: str) -> _Listing:
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(name.repository, revision=name.revision, files_metadata=True)
    except Exception as error:
        raise _unreachable(error, name, field) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    return _Listing(info.sha or name.revision or "main", sizes)


def _cached(source: HubSource) -> tuple[HubFiles, list[Path]] | None:
    """A pinned split that was fetched before, whole, and where its files lie; the Hub is not asked."""
    from huggingface_hub import snapshot_download

    if source.revision is None or not re.fullmatch(r"[0-9a-f]{40}", source.revision):
        return None
    try:
        folder = snapshot_download(source.dataset, repo_type="dataset", revision=source.revision, local_files_only=True)
    except (OSError, ValueError):
        return None
    root = Path(folder)
    files = _of_split([path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()], source)
    if not _is_whole(files):
        return None
    paths = [root / name for name in files]
    size = sum(path.stat().st_size for path in paths)
    return HubFiles(HubName(source.dataset, source.revision), tuple(files), size), paths


def _is_whole(files: Sequence[str]) -> bool:
    """Whether they are one list of which no part is missing, as far as names tell: a fetch may have been broken off."""
    if len(_groups(files)) != 1:
        return False
    if len(files) == 1 and not _PART.search(PurePosixPath(files[0]).stem):
        return True
    totals = {found["total"] for name in files if (found := _PART.search(PurePosixPath(name).stem))}
    return len(totals) == 1 and totals == {f"{len(files):05}"}


def _groups(files: Iterable[str]) -> list[str]:
    """The names of files without the numbers of their parts: one name for one list of rows."""
    paths = map(PurePosixPath, files)
    return list(dict.fromkeys(str(path.parent / _PART.sub("", path.stem)) for path in paths))


def _of_split(names: Iterable[str], source: HubSource) -> list[str]:
    """The files of the split, in the order of their parts: of one kind, the smallest to read first."""
    fitting = sorted(name for name in names if _is_part(PurePosixPath(name), source))
    for suffix in (".parquet", ".jsonl", ".ndjson", ".json", ".csv"):
        of_kind = [name for name in fitting if name.endswith(suffix)]
        if of_kind:
            return of_kind
    return []


def _is_part(path: PurePosixPath, source: HubSource) -> bool:
    """Whether a file's path names the split, and the configuration where one was asked for.

    The Hub's own convention: `train.jsonl`, `data/train-00000-of-00002.parquet`, `main/train/0000.parquet`.
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    folders, stem = path.parts[:-1], _PART.sub("", path.stem)
    # The Hub splits names of files at what is neither letter nor digit.
    words = re.split(r"[-_. ]+", stem)
    named = source.split in (stem, *folders) or source.split in words
    configured = source.config is None or source.config in (*folders, *words, stem)
    return named and configured


def _no_split(source: HubSource, names: Sequence[str]) -> DataError:
    usable = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    shown = ", ".join(usable[:_LISTED]) + (", ..." if len(usable) > _LISTED else "")
    wanted = f"split {source.split}" + (f" of configuration {source.config}" if source.config else "")
    return DataError(
        f"{source.dataset} has no {wanted} that can be read; its files are {shown or 'none of a kind that can be'}.",
        field="data.source.split",
        remedy="Name one of its splits, or download the file and give it as your own.",
    )


def _unreachable(error: Exception, name: HubName, field: str) -> DataError:
    from huggingface_hub.errors import OfflineModeIsEnabled

    refused = refusal(error, name, "data set")
    if refused:
        return DataError(refused.message, field=field, remedy=refused.remedy)
    if isinstance(error, OfflineModeIsEnabled):
        return DataError(
            f"{name.repository} cannot be downloaded: this process is kept off the network.",
            field=field,
            remedy="Set HF_HUB_OFFLINE=0 and start it again. Or bring the file here and give its path.",
        )
    return DataError(
        f"{name.repository} cannot be downloaded: {first_line(error)}",
        field=field,
        remedy="Check the connection and run it again. Or bring the file here and give its path.",
    )
