"""`gift studio`: what the pages do, on a studio that runs here or elsewhere. What a command needs is imported by it."""

from __future__ import annotations

import typer

from ui.commands import copying, data, evaluating, jobs, launching, looking, outputs, queue, watching

_HELP = """What the studio's pages do, from the command line: on this machine, or with `--server URL` on another.

`gift studio launch spec.yaml --method sft --method gift --watch` launches a pair and shows how it goes; Ctrl-C leaves
it alone, and `gift studio watch` shows it again. `gift studio runs`, `gift studio queue list` and
`gift studio metrics RUN` say how things are, and with `--json` they say it to programs.

A studio with accounts asks for an API key: set `GIFT_KEY`. It is no option, because a list of processes shows those.
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown")

for _command in (
    launching.launch,
    launching.check,
    launching.presets,
    launching.models,
    launching.checkpoints,
    launching.devices,
    jobs.experiments,
    jobs.runs,
    jobs.jobs,
    jobs.show,
    watching.watch,
    jobs.stop,
    jobs.resume,
    jobs.retry,
    jobs.undo,
    copying.clone,
    jobs.delete,
    jobs.log,
    jobs.metrics,
    data.upload,
    data.datasets,
    evaluating.evaluate,
    looking.denoise,
    looking.inspect,
    outputs.export,
    outputs.push,
    outputs.download,
):
    app.command()(_command)
# `continue` is no name that a function can have.
app.command("continue")(copying.continue_)
app.add_typer(queue.app, name="queue")

__all__ = ["app"]
