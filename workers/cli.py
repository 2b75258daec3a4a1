"""`gift worker`: takes jobs of a studio, on this host or another."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from gift_core.config.paths import PathError, expand_path
from gift_core.errors import SpecError


def worker(
    device: Annotated[
        list[str] | None,
        typer.Option(help="A device to compute on: `cuda:0`, `cpu`; may be given several times. All when left out."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the studio's files on this host; GIFT_DATA_DIR when left out.")
    ] = None,
    side_slots: Annotated[
        int | None, typer.Option(min=0, max=64, help="Jobs at once that need no device of their own.")
    ] = None,
) -> None:
    """Take jobs from a studio's queue and carry them out, until Ctrl-C or SIGTERM.

    Beside a studio on the same host it needs nothing but the same data folder. On another host it finds the studio by
    `GIFT_STORE_URL` (PostgreSQL), `GIFT_QUEUE_URL` (Redis or PostgreSQL) and `GIFT_ARTEFACTS_URL` (S3): see
    docs/scale.md. When it is told to end it hands its jobs back: another worker, or this one when it is started again,
    goes on from their last checkpoint.
    """
    from workers.logs import set_up_logs
    from workers.settings import read_settings
    from workers.startup.data_folder import keep_files_private
    from workers.startup.descriptors import raise_limit
    from workers.startup.services import check_services
    from workers.studio import Studio

    keep_files_private()
    raise_limit()
    given = {
        "devices": ",".join(device) if device else None,
        "data_dir": _folder(data_dir) if data_dir else None,
        "side_slots": side_slots,
        "embedded_worker": True,
    }
    read = read_settings()
    set_up_logs(read.log_format, read.log_level)
    settings = read.model_copy(update={name: value for name, value in given.items() if value is not None})
    end = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        end.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    check_services(settings)
    studio = Studio(settings)
    taking = studio.worker(announced_here=False)
    names = ", ".join(f"{device.name} ({device.title})" for device in studio.own_devices)
    typer.echo(f"Worker {taking.id} takes jobs for {names}. Ctrl-C ends it.")
    taking.start()
    try:
        end.wait()
    finally:
        typer.echo("Handing jobs back ...")
        taking.stop()
        studio.close()


def _folder(given: Path) -> Path:
    try:
        return expand_path(given)
    except PathError as error:
        raise SpecError(str(error), field="--data-dir", remedy="Write the folder's whole path.") from None
