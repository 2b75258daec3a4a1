"""A training as a Slurm job: a script made from a template, and handed to sbatch.

Whatever a template puts in is quoted for the shell when it is put in, so that no name, path or setting can become a
command, and no template can forget it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from gift_core.errors import GiftError, SpecError

_TEMPLATE = "slurm.sh.j2"
_UNFIT_FOR_DIRECTIVES = re.compile(r"[^\w.,:/@+=-]+", re.ASCII)
_PATIENCE_SECONDS = 120


class SubmitError(GiftError):
    """Slurm is not there, or did not take the job."""

    code = "submit"


class _Quoted(str):
    """Fit for the place that it is put in."""


def bundled_template() -> str:
    """The template that is used unless another is named."""
    return (files("gift_core") / "assets" / _TEMPLATE).read_text("utf-8")


def render(template: str, values: Mapping[str, Any], name: str = _TEMPLATE) -> str:
    """The script of a Jinja template. Raises `SpecError` for a template that is wrong or asks for what is not there."""
    from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        autoescape=False,  # That is for HTML: `finalize` quotes for the shell.
        undefined=StrictUndefined,
        finalize=_quoted,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["directive"] = _directive
    try:
        return environment.from_string(template).render(values)
    except TemplateError as error:
        line = f" (line {error.lineno})" if isinstance(error, TemplateSyntaxError) else ""
        remedy = f"It may use: {', '.join(sorted(values))}."
        raise SpecError(f"{name}{line}: {error}", field="--template", remedy=remedy) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise SpecError(f"{name}: {error}", field="--template", remedy="Correct the template.") from error


def _quoted(value: object) -> str:
    """A value as one word of a shell, a list as several."""
    if isinstance(value, _Quoted):
        return value
    if isinstance(value, list | tuple):
        return shlex.join(map(_one_line, value))
    return shlex.quote(_one_line(value))


def _one_line(value: object) -> str:
    # In an #SBATCH line, which is a comment, no quote would keep a second line from being a command.
    text = str(value)
    if any(not character.isprintable() for character in text):
        raise ValueError(f"{text!r} has a line break or another character that cannot be printed")
    return text


def _directive(value: object) -> _Quoted:
    """A value for an #SBATCH line, whose quoting is Slurm's own: what could need any is replaced."""
    return _Quoted(_UNFIT_FOR_DIRECTIVES.sub("-", str(value)).strip("-") or "gift")


def submit(script: str, folder: Path, options: Sequence[str] = ()) -> str:
    """Hand a script to sbatch, which runs it in `folder` and writes its log there; the id of the job.

    Raises `SubmitError`.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise SubmitError(
            "There is no sbatch here.",
            remedy="Run this where jobs are submitted on your cluster, or look at the script with --dry-run.",
        )
    command = [sbatch, "--parsable", *options]
    try:
        done = subprocess.run(
            command, input=script, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        remedy = "Look with squeue whether it was taken before you try again."
        raise SubmitError(f"sbatch has not answered for {_PATIENCE_SECONDS} seconds.", remedy=remedy) from error
    said = done.stderr.strip()
    if done.returncode:
        reason = said or f"it ended with {done.returncode}"
        remedy = "Change the options or the template; --dry-run shows the script."
        raise SubmitError(f"sbatch refused the job: {reason}", remedy=remedy)
    job = done.stdout.strip().partition(";")[0]
    if not job.isdigit():
        raise SubmitError(f"sbatch named no job: {done.stdout.strip()!r}.", remedy="Look with squeue.")
    return job
