"""Starts a job on several devices, by torchrun: `python -m workers.launcher PARENT COUNT MODULE ARGUMENTS`."""

from __future__ import annotations

import os
import sys

from workers.job_process import die_with


def main() -> None:
    """Become torchrun. What the kernel was told, to kill this process with its worker, stays in force."""
    parent, count, *module = sys.argv[1:]
    die_with(int(parent))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", count, "-m", *module]
    os.execv(sys.executable, [sys.executable, *torchrun, "--parent", str(os.getpid())])  # noqa: S606


if __name__ == "__main__":
    main()
