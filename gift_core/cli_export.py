"""`gift export` and `gift push`: taking a finished run away."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gift_core.escaping import escaped_line
from gift_core.spec import ExportLayout, WeightDtype

Run = Annotated[Path, typer.Argument(help="Folder of a finished run, such as runs/gift.")]
LayoutOption = Annotated[
    ExportLayout | None,
    typer.Option(
        help="adapter: the LoRA weights alone, for peft. merged: the whole model, for transformers. published: the "
        "whole model with the names of the base's authors (LLaDA, Dream), for their code. When left out: adapter for "
        "a LoRA run, merged for any other."
    ),
]
DtypeOption = Annotated[
    WeightDtype, typer.Option(help="Of whole weights; auto leaves them as they are, bf16 halves what fp32 takes.")
]


def export(
    run: Run,
    target: Annotated[Path, typer.Argument(help="Folder to write; an earlier export of the same run is replaced.")],
    layout: LayoutOption = None,
    dtype: DtypeOption = "auto",
) -> None:
    """Write a finished run to a folder that other programs load, with its tokenizer and a model card.

    `gift export runs/gift sudoku-gift`, then see sudoku-gift/README.md: it says how to load what is there.
    """
    from gift_core.export import ExportOptions
    from gift_core.export import export as write_export

    exported = write_export(run, target, ExportOptions(layout, dtype))
    sys.stdout.write(f"{escaped_line(str(target))}: {exported.layout}\n")


def push(
    run: Run,
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub, created if need be.")],
    layout: LayoutOption = None,
    dtype: DtypeOption = "auto",
    private: Annotated[bool, typer.Option("--private", help="For you and your organisation only.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be uploaded, and ask nobody anything.")
    ] = False,
) -> None:
    """Upload what `gift export` would write to the Hugging Face Hub.

    The token is read from HF_TOKEN and from nowhere else: `HF_TOKEN=... gift push runs/gift me/sudoku-gift`. Look
    first with --dry-run, which needs none.
    """
    from gift_core.credentials import hub_token
    from gift_core.finished_run import read_run
    from gift_core.push import repository_name, upload

    # What can be refused is refused before anything is written: merging eight billion weights takes minutes.
    repository = repository_name(repository)
    token = None if dry_run else hub_token()
    directory = read_run(run).directory
    from gift_core.export import ExportOptions, files_of
    from gift_core.export import export as write_export
    from gift_core.scratch import scratch_folder

    # Where the run's own weights lie there is room for more; a folder for temporary files may be small.
    with scratch_folder(directory / "push") as scratch:
        folder = scratch / "export"
        write_export(run, folder, ExportOptions(layout, dtype, location=repository))
        _print_upload(folder, files_of(folder), repository, private)
        if token:
            sys.stdout.write(escaped_line(upload(folder, repository, private=private, token=token)) + "\n")


def _print_upload(folder: Path, files: list[str], repository: str, private: bool) -> None:
    visibility = "private" if private else "public"
    table = Table("file", title=f"{escape(repository)} ({visibility} if it is new)", title_justify="left")
    table.add_column("bytes", justify="right")
    sizes = {name: (folder / name).stat().st_size for name in files}
    for name, size in sizes.items():
        table.add_row(escape(escaped_line(name)), f"{size:,}")
    table.add_section()
    table.add_row(f"{len(files)} files", f"{sum(sizes.values()):,}")
    Console().print(table)
