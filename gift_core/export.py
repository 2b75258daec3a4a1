"""A finished run as other programs load it: an adapter, merged weights, or the layout of the base's authors."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from gift_core.errors import ModelError, SpecError
from gift_core.finished_run import FinishedRun, read_run
from gift_core.model_card import Exported, model_card
from gift_core.models.adapter_files import ADAPTER_CONFIG
from gift_core.models.catalogue import find_model
from gift_core.models.families.registry import family_of
from gift_core.models.loading import DiffusionModel, load_checkpoint, read_config
from gift_core.models.saving import save_published, write_model
from gift_core.reporting import write_atomically
from gift_core.scratch import written_beside
from gift_core.spec import ExportLayout, WeightDtype

CARD = "README.md"
# What an export is, for programs, and which files are its own.
RECORD = "gift-export.json"
_VERSION = 1
_CASTS: dict[WeightDtype, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class ExportOptions:
    """The layout that suits the run when None. `dtype` is that of whole weights; auto leaves them as they are.

    `location` is owner/name for an export that goes to the Hub: the card's snippet loads it from there.
    """

    layout: ExportLayout | None = None
    dtype: WeightDtype = "auto"
    location: str = "."


def export(directory: Path, target: Path, options: ExportOptions | None = None) -> Exported:
    """Write the finished run in `directory` to the folder `target`, whole or not at all, with a model card.

    An earlier export of the same run is replaced. Raises `SpecError` where there is no finished run, where its layout
    cannot be had, or where `target` holds anything else; `ModelError` where the weights cannot be read.
    """
    options = options or ExportOptions()
    run = read_run(directory)
    layout = check_layout(options.layout, options.dtype, is_adapter=run.is_adapter)
    _check_target(target, run)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(target) as beside:
            exported = _write(run, layout, options, beside)
            write_atomically(beside / CARD, model_card(exported))
            write_atomically(beside / RECORD, json.dumps(_record(exported, beside), indent=2))
    except (OSError, SafetensorError) as error:
        raise SpecError(
            f"{target} cannot be written: {error}.",
            field="target",
            remedy="Choose another folder, or make room.",
        ) from error
    return exported


def files_of(directory: Path) -> list[str]:
    """The files below a folder, as paths from there with slashes, in order."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def check_layout(asked: ExportLayout | None, dtype: WeightDtype, *, is_adapter: bool) -> ExportLayout:
    """Return the layout of an export, the one that suits the run if none was asked for. Raises `SpecError` for what a
    run that trained an adapter, or all weights, cannot be written as."""
    layout: ExportLayout = asked or ("adapter" if is_adapter else "merged")
    if layout == "adapter" and not is_adapter:
        raise SpecError(
            "The run trained all weights: it has no adapter.",
            field="layout",
            remedy="Choose the layout merged.",
        )
    if layout == "adapter" and dtype != "auto":
        raise SpecError(
            "An adapter stays in the precision that it was trained in.",
            field="dtype",
            remedy="Leave it out, or choose the layout merged.",
        )
    return layout


def has_published_layout(base: str) -> bool:
    """Whether the authors of a base model have a layout of their own; reads its config only. Raises `ModelError`."""
    folder = find_model(base, local_folders=True)
    return family_of(read_config(folder), folder.name).published is not None


def _check_target(target: Path, run: FinishedRun) -> None:
    """Refuse to replace anything but an earlier export of the same run; raises `SpecError` that says how to go on."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    record = _read_record(target)
    if record is None:
        raise _refused(f"{target} exists already, and is not an export of gift.")
    if record.get("run") != run.identity:
        raise _refused(f"{target} holds the export of another run.")
    foreign = set(files_of(target)) - set(record["files"])
    if foreign:
        raise _refused(f"{target} holds files that the export did not write: {', '.join(sorted(foreign)[:5])}.")


def _refused(message: str) -> SpecError:
    return SpecError(message, field="target", remedy="Choose another folder, or move that one away first.")


def _read_record(target: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((target / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), list) else None


def _write(run: FinishedRun, layout: ExportLayout, options: ExportOptions, folder: Path) -> Exported:
    if layout == "adapter":
        _copy_adapter(run, folder)
        return Exported(run, layout, options.location)
    model = _cast(load_checkpoint(run.checkpoint), options.dtype)
    if layout == "published":
        _write_published(model, folder)
    else:
        write_model(model, folder)
    dtype = str(model.network.dtype).removeprefix("torch.")
    return Exported(run, layout, options.location, model.family.network.__name__, dtype)


def _cast(model: DiffusionModel, dtype: WeightDtype) -> DiffusionModel:
    if dtype in _CASTS:
        model.network.to(_CASTS[dtype])
    return model


def _write_published(model: DiffusionModel, folder: Path) -> None:
    try:
        save_published(model, folder)
    except ModelError as error:
        raise SpecError(error.problems[0].message, field="layout", remedy="Choose the layout merged.") from error


def _copy_adapter(run: FinishedRun, folder: Path) -> None:
    """The checkpoint's own files, so that the logits are those of the run; the base by a name that others can use."""
    shutil.copytree(run.checkpoint, folder)
    config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    # Of a Hub model, peft wants the commit by itself.
    hub = run.base.hub
    config |= {
        "base_model_name_or_path": hub.repository if hub else run.base.reference,
        "revision": hub.revision if hub else None,
    }
    write_atomically(folder / ADAPTER_CONFIG, json.dumps(config, indent=2))


def _record(exported: Exported, folder: Path) -> dict[str, Any]:
    run = exported.run
    return {
        "version": _VERSION,
        "run": run.identity,
        "layout": exported.layout,
        "files": sorted({*files_of(folder), RECORD}),
        "spec": run.public_spec.model_dump(mode="json"),
        # What the run itself calls its base may be a folder of this machine.
        "result": run.result.model_dump(mode="json") | {"base": run.base.name},
    }
