"""Starts a job on several devices, by torchrun: `python -m workers.launcher PARENT COUNT MODULE ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from workers.context import EXIT_MACHINE
from workers.job_process import die_with


def main() -> None:
    """Become torchrun. What the kernel was told, to kill this process with its worker, stays in force."""
    parent, count, *module = sys.argv[1:]
    try:
        _become_torchrun(int(parent), count, module)
    except OSError as error:
        # The machine has not let a program begin.
        print(error, file=sys.stderr)
        sys.exit(EXIT_MACHINE)


def _become_torchrun(parent: int, count: str, module: list[str]) -> None:
    die_with(parent)
    # The job's own processes are told to stop; torchrun would take it for a failure and kill them while they save.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", count]
    torchrun += ["--signals-to-handle", "SIGHUP", "--shutdown-timeout", "10", "-m", *module]
    os.execv(sys.executable, [sys.executable, *torchrun, "--parent", str(os.getpid())])  # noqa: S606


if __name__ == "__main__":
    main()
