"""Processes forked from one that has imported everything: each is there at once. And those that are gone."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["api.app", "gift_core.run", "workers.studio"])


def start(target: Callable[..., None], *arguments: object, **options: object) -> BaseProcess:
    """Call a function of a module in a process of its own."""
    process = _CONTEXT.Process(target=target, args=arguments, kwargs=options)
    process.start()
    return process


def dead() -> int:
    """The number of a process that is not there any more."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def pipe() -> tuple[Connection, Connection]:
    """Where one process reads, and where another one that was started with it writes."""
    return _CONTEXT.Pipe(duplex=False)
