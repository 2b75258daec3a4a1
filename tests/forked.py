"""Processes forked from one that has imported everything: each is there at once. And those that are gone."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["api.app", "gift_core.run"])


def start(target: Callable[..., object], *arguments: object, **options: object) -> BaseProcess:
    """Call a function of a module in a process of its own."""
    process = _CONTEXT.Process(target=target, args=arguments, kwargs=options)
    process.start()
    return process


def start_telling(target: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    """The same with a connection as the last argument, and where what the process sends there is read. Reading raises
    `EOFError` once the process is gone."""
    here, there = _CONTEXT.Pipe(duplex=False)
    process = start(target, *arguments, there)
    there.close()
    return process, here


def dead() -> int:
    """The number of a process that is not there any more."""
    with subprocess.Popen(["true"]) as process:
        return process.pid
