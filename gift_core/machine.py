"""What a run would find on a machine: memory, disk, and how fast it multiplies matrices."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from gift_core.spec import Precision

# Side of the matrices, small enough that a CPU is done in milliseconds.
_SIDE_ON_CPU, _SIDE_ON_DEVICE = 512, 4096
# The first is slower, and others may want the same core.
_REPETITIONS = 8

# Floating-point operations per second in a precision; None where nothing was measured.
Speed = Callable[[Precision], float | None]


def unknown_speed(_: Precision) -> None:
    """The speed of a machine that is somewhere else."""


@dataclass(frozen=True)
class Machine:
    """Bytes that are free, and in all; None is not known."""

    memory_free: int | None = None
    memory_total: int | None = None
    disk_free: int | None = None
    speed: Speed = unknown_speed

    @classmethod
    def here(cls, directory: Path) -> Machine:
        """This machine, with the disk that `directory` lies on or will lie on."""
        import torch

        from gift_core.memory import available_memory

        on_device = torch.cuda.is_available()
        total = torch.cuda.mem_get_info()[1] if on_device else psutil.virtual_memory().total
        return cls(available_memory(), int(total), shutil.disk_usage(_existing(directory)).free, matrix_speed)

    @classmethod
    def from_outside(cls, directory: Path) -> Machine:
        """The same for a process that only serves: to ask a GPU for its memory would take some of it for good."""
        import torch

        if torch.accelerator.is_available():
            return cls.disk_only(directory)
        return cls.here(directory)

    @classmethod
    def disk_only(cls, directory: Path) -> Machine:
        """What is known where another machine trains, and its runs lie on this disk."""
        return cls(disk_free=shutil.disk_usage(_existing(directory)).free)


@lru_cache(maxsize=4)
def matrix_speed(precision: Precision) -> float:
    """Operations per second of a matrix product, with the threads that this process computes with."""
    import torch

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    side = _SIDE_ON_CPU if device is None or device.type == "cpu" else _SIDE_ON_DEVICE
    square = torch.ones(side, side, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    fastest = min(_seconds(lambda: square @ square) for _ in range(_REPETITIONS))
    return 2 * side**3 / fastest


def _seconds(compute: Callable[[], object]) -> float:
    import torch

    started = time.perf_counter()
    compute()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - started


def _existing(directory: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
