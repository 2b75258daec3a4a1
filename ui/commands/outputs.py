"""Taking results away: exports, uploads to the Hub, and files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from gift_core.errors import SpecError
from gift_core.spec import ExportLayout, WeightDtype
from ui.commands.connection import DEFAULT_SERVER, AsJson, RefusedError, Server, connect, persistently
from ui.commands.output import print_json, say
from ui.commands.watching import follow_jobs, still_going

if TYPE_CHECKING:
    from ui.commands.client import CommandClient

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A finished run.")]
LayoutOption = Annotated[
    ExportLayout | None,
    typer.Option(
        help="adapter: the LoRA weights alone. merged: the whole model, for transformers. published: with the names of "
        "the base's authors. When left out: what suits the run."
    ),
]
DtypeOption = Annotated[WeightDtype, typer.Option(help="Of whole weights; auto leaves them as they are.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Show how it goes until it has ended.")]


def export(
    run: RunId,
    layout: LayoutOption = None,
    dtype: DtypeOption = "auto",
    to: Annotated[
        Path | None, typer.Option(help="Wait for it, and fetch its files to this new folder.", file_okay=False)
    ] = None,
    watch: WatchOption = False,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Write a finished run as other programs load it: `gift studio export run_x7c1 --to my-model`."""
    if to:
        _refuse_existing(to)
    with connect(server, interrupted="The export goes on; `gift studio jobs --kind export` shows it.") as client:
        job = client.export({"run": run, "layout": layout, "dtype": dtype})
        if watch or to:
            follow_jobs(client, [job.id], quiet=True)
        if to:
            fetch_files(client, job.id, to)
        found = client.job(job.id)
    if as_json:
        print_json(found)
    elif to:
        say(f"{to}: the files of {found.id}")
    else:
        say(f"{found.id} {found.state}: `gift studio download {found.id} FOLDER` fetches its files.")


def push(
    run: RunId,
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub, created if need be.")],
    layout: LayoutOption = None,
    dtype: DtypeOption = "auto",
    private: Annotated[bool, typer.Option("--private", help="For the owner only.")] = False,
    watch: WatchOption = False,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Have the studio upload a finished run to the Hub: `HF_TOKEN=... gift studio push run_x7c1 me/sudoku-gift`.

    The token is read from HF_TOKEN and from nowhere else. The studio passes it to the process that uploads, and keeps
    it nowhere.
    """
    from gift_core.credentials import hub_token

    token = hub_token()
    order: dict[str, Any] = {
        "run": run,
        "repository": repository,
        "layout": layout,
        "dtype": dtype,
        "private": private,
    }
    with connect(server, interrupted="The upload goes on; `gift studio jobs --kind push` shows it.") as client:
        key = uuid4().hex
        job = persistently(lambda: client.push(order, token, key))
        if not as_json:
            say(f"Uploading as {job.id}.")
    if watch:
        with connect(server, interrupted=still_going(job.id)) as client:
            follow_jobs(client, [job.id], as_json=as_json)
    elif as_json:
        print_json(job)


def download(
    identity: Annotated[str, typer.Argument(metavar="JOB", help="A finished export, or a batch of responses.")],
    folder: Annotated[
        Path | None, typer.Argument(help="A new folder for its files; the job's id when left out.", file_okay=False)
    ] = None,
    archive: Annotated[bool, typer.Option("--zip", help="Fetch one ZIP archive into the folder instead.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Fetch what a job has left: `gift studio download ex_4f1c my-model`.

    The folder appears once everything is there; what was broken off leaves nothing.
    """
    target = folder or Path(_one_name(identity))
    _refuse_existing(target)
    with connect(server) as client:
        if archive:
            pieces = client.archive(identity)
            _appear(target, lambda beside: _write(beside / f"{_one_name(identity)}.zip", pieces))
        else:
            fetch_files(client, identity, target)
    say(f"{target}: the files of {identity}")


def fetch_files(client: CommandClient, identity: str, target: Path) -> None:
    """All files of a job, into a folder that appears when it is complete; raises `RefusedError` for a job without."""
    files = client.files(identity)
    if not files:
        raise RefusedError(
            f"{identity} has no files to fetch.",
            remedy="Of a run there is an export first: gift studio export RUN --to FOLDER.",
        )

    def fetch(beside: Path) -> None:
        for file in files:
            path = beside / _inside(file.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, client.file(identity, file.name))
            if path.stat().st_size != file.bytes:
                raise RefusedError(f"{file.name} came with another size than it has.", remedy="Fetch it again.")

    _appear(target, fetch)


def _appear(target: Path, fill: Any) -> None:
    """A folder that is filled beside its place and then renamed."""
    beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    beside.mkdir(parents=True)
    try:
        fill(beside)
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)


def _inside(name: str) -> PurePosixPath:
    """A file's name as a path below a folder; raises `RefusedError` for one that would lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise RefusedError(f"The studio names a file {name!r}, which leads out of the folder.")
    return path


def _one_name(identity: str) -> str:
    if not identity or not all(letter.isalnum() or letter in "-_" for letter in identity):
        raise SpecError(f"{identity!r} is no job's id.", field="JOB", remedy="`gift studio jobs` lists them.")
    return identity


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise SpecError(f"{target} exists already.", field="FOLDER", remedy="Choose another folder.")
