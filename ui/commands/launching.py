"""Before a launch and the launch itself, and what there is to launch with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gift_core.cli_common import Changes, parse_changes
from gift_core.preflight_document import LEAST_EFFECT
from gift_core.spec import METHODS
from ui.commands.connection import DEFAULT_SERVER, AsJson, Server, connect, persistently
from ui.commands.output import duration, print_json, print_list, print_table, say
from ui.commands.watching import RUN_COLUMNS, follow_experiment, still_going

if TYPE_CHECKING:
    from api.schemas import ExperimentDetail
    from gift_core.spec import ExperimentSpec
    from ui.commands.client import CommandClient

SpecFile = Annotated[
    Path | None,
    typer.Argument(help="YAML of a run, as a run's page offers it, or of an experiment; SFT + GIFT when left out."),
]
MethodOption = Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(METHODS)}; may be repeated.")]
SeedOption = Annotated[list[int] | None, typer.Option(help="Repeat for several seeds.")]
PresetOption = Annotated[str | None, typer.Option(help="Begin with one of `gift studio presets` instead of a file.")]
DataOption = Annotated[
    Path | None, typer.Option(help="Train on this file: it is uploaded, and replaces the spec's data.", dir_okay=False)
]


def launch(
    spec_file: SpecFile = None,
    preset: PresetOption = None,
    name: Annotated[str | None, typer.Option(help="What lists show.")] = None,
    method: MethodOption = None,
    seed: SeedOption = None,
    changes: Changes = None,
    data: DataOption = None,
    priority: Annotated[int, typer.Option(help="Of those that wait, the highest is next.", min=-100, max=100)] = 0,
    devices: Annotated[int, typer.Option(help="On how many devices of one host each run is trained.", min=1)] = 1,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="On which, or which kind: cpu, cuda, cuda:1; any when left out.")
    ] = "",
    stop_on_failure: Annotated[
        bool, typer.Option("--stop-on-failure", help="Stop the runs that wait when one of them fails.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show how it goes until all runs have ended.")] = False,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Launch an experiment: its runs are queued, and go on whether or not anybody watches.

    `gift studio launch --preset "Smoke test" --watch`

    `gift studio launch spec.yaml --method sft --method gift --seed 1 --seed 2 --set training.epochs=3`

    `gift studio launch --data rows.jsonl --server https://studio.example`

    A connection that is lost meanwhile is tried again, and launches nothing twice. With `--watch` it ends with 1 where
    a run did not finish.
    """
    with connect(server, interrupted="Interrupted. `gift studio experiments` says whether it was launched.") as client:
        spec = _experiment(client, spec_file, preset, name, method, seed, changes, data)
        queued = {"priority": priority, "devices": devices, "device": device, "stop_on_failure": stop_on_failure}
        found = launch_once(client, spec, **queued)
    if as_json:
        print_json(found, one_line=watch)
    else:
        say(f"Launched {found.name} as {found.id}.")
        print_table(found.runs, RUN_COLUMNS, "")
        if not watch:
            say(f"gift studio watch {found.id} shows how it goes.")
    if watch:
        with connect(server, interrupted=still_going(found.id)) as client:
            follow_experiment(client, found.id, as_json=as_json)


def launch_once(client: CommandClient, spec: ExperimentSpec, **queued: Any) -> ExperimentDetail:
    """Launch under a key of its own, which makes a second attempt after a lost connection harmless."""
    from uuid import uuid4

    key = uuid4().hex
    return persistently(lambda: client.create_experiment(spec, key, **queued))


def check(
    spec_file: SpecFile = None,
    preset: PresetOption = None,
    method: MethodOption = None,
    seed: SeedOption = None,
    changes: Changes = None,
    data: DataOption = None,
    effect: Annotated[
        float, typer.Option(help="The difference in score to tell, in points.", min=LEAST_EFFECT, max=100)
    ] = 10.0,
    as_json: AsJson = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Say what is wrong with an experiment and what it would take on the studio; nothing is launched.

    `gift studio check spec.yaml --set training.batch_size=32`

    Ends with 1 where it could not be trained.
    """
    from gift_core.cli_preflight import print_report

    with connect(server) as client:
        spec = _experiment(client, spec_file, preset, None, method, seed, changes, data)
        report = client.preflight(spec, effect)
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if not report.ok:
        raise typer.Exit(1)


def presets(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Experiments to start from: `gift studio launch --preset "Quick pair"`."""
    with connect(server) as client:
        found = client.presets()
    if as_json:
        return print_json(found)
    return print_table(
        found.items(),
        {
            "preset": lambda item: item[0],
            "methods": lambda item: ", ".join(item[1].methods),
            "seeds": lambda item: ", ".join(map(str, item[1].seeds)),
            "epochs": lambda item: item[1].run.training.epochs,
        },
        "There are no presets.",
    )


def models(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Base models that a run can start from: `--set model.name=NAME`."""
    with connect(server) as client:
        found = client.models()
    columns = {"name": lambda each: each.name, "title": lambda each: each.title, "": lambda each: each.description}
    return print_list(found, columns, "There are no models.", as_json=as_json)


def checkpoints(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """Models to inspect, denoise with and evaluate: base models, and what finished runs made of them."""
    with connect(server) as client:
        found = client.checkpoints()
    columns = {"id": lambda each: each.id, "label": lambda each: each.label, "experiment": lambda each: each.experiment}
    return print_list(found, columns, "There are no checkpoints.", as_json=as_json)


def devices(as_json: AsJson = False, server: Server = DEFAULT_SERVER) -> None:
    """What the studio's workers compute on, and which job has it."""
    with connect(server) as client:
        found = client.devices()
    if as_json:
        return print_json(found)
    import time

    return print_table(
        [(worker, device) for worker in found for device in worker.devices],
        {
            "worker": lambda pair: pair[0].id,
            "host": lambda pair: pair[0].host,
            "device": lambda pair: pair[1].name,
            "what": lambda pair: pair[1].title,
            "memory": lambda pair: f"{pair[1].memory / 2**30:.1f} GB" if pair[1].memory else "",
            "job": lambda pair: pair[1].job or "free",
            "seen": lambda pair: f"{duration(max(0.0, time.time() - pair[0].seen))} ago",
        },
        "No worker has shown itself.",
    )


def _experiment(
    client: CommandClient,
    spec_file: Path | None,
    preset: str | None,
    name: str | None,
    methods: list[str] | None,
    seeds: list[int] | None,
    changes: list[str] | None,
    data: Path | None,
) -> ExperimentSpec:
    """What was asked for; `data` is uploaded. Raises `SpecError` and `StudioError`."""
    from gift_core.experiment_file import changed_experiment, load_experiment

    asked: dict[str, Any] = parse_changes(changes or [])
    begin = _preset(client, spec_file, preset) if preset else load_experiment(spec_file)

    def changed(dataset: str | None) -> ExperimentSpec:
        source = {"data.source": {"kind": "file", "dataset": dataset}} if dataset else {}
        return changed_experiment(begin, source | asked, methods, seeds, name)

    # Twice: what can be refused is refused before a file is sent.
    spec = changed(data.name if data else None)
    return changed(client.upload(data, data.name).id) if data else spec


def _preset(client: CommandClient, spec_file: Path | None, preset: str) -> ExperimentSpec:
    from gift_core.errors import SpecError

    if spec_file:
        raise SpecError("A file and a preset are two beginnings.", field="--preset", remedy="Give one of them.")
    known = client.presets()
    if preset not in known:
        raise SpecError(
            f"There is no preset {preset!r}.", field="--preset", remedy=f"Choose one of: {', '.join(known)}."
        )
    return known[preset]
