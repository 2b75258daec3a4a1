"""The devices of a worker: what there is, what is free, and which of the waiting jobs fits."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from shutil import which

import psutil
from pydantic import BaseModel, ConfigDict

from gift_core.errors import SpecError
from workers.line import Reach
from workers.records import Job

# What an error repeats of a setting: anything else may be a password in the wrong variable.
_NAME = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")


class Device(BaseModel):
    """Something that one job at a time computes on. `name` is `cpu` or `cuda:` and its number, memory is in bytes.

    `held_up` says why its worker takes nothing, "" while it takes jobs.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    memory: int
    held_up: str = ""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    def held(self, why: str) -> Device:
        """The same, of a worker that is held up."""
        return self.model_copy(update={"held_up": why})

    def answers_to(self, asked: str) -> bool:
        """Whether a job that asks for this device or kind of devices can be placed on it; "" asks for any."""
        return asked in ("", self.name, self.kind)


def find_devices(asked: str = "auto", visible: str | None = None) -> list[Device]:
    """`auto`: all NVIDIA GPUs of this machine, or else its CPU; otherwise the named ones, `cuda:0,cuda:1` or `cpu`.

    `visible` is CUDA_VISIBLE_DEVICES, numbers or UUIDs: where it is set, `auto` takes no other GPU.
    Raises `SpecError` where one of them is not there.
    """
    found = _gpus()
    if asked == "auto":
        mine = list(found.values()) if visible is None else _visible(visible, found)
        return mine or [_cpu()]
    known = {device.name: device for device in [_cpu(), *found.values()]}
    names = [name.strip() for name in asked.split(",")]
    if missing := [name for name in names if name not in known]:
        raise SpecError(
            f"This machine has no device {', '.join(missing)}."
            if all(map(_NAME.fullmatch, missing))
            else "This machine has no device of such a name.",
            field="GIFT_DEVICES",
            remedy=f"Choose from {', '.join(known)}, or auto.",
        )
    return [known[name] for name in dict.fromkeys(names)]


def _visible(named: str, found: Mapping[str, Device]) -> list[Device]:
    """Those GPUs, by UUID, that CUDA_VISIBLE_DEVICES names: a number, or a UUID that may be cut short."""
    mine = []
    # A number below zero is how people hide all of them.
    for name in (part.strip() for part in named.split(",") if part.strip() not in ("", "-1")):
        gpus = [gpu for uuid, gpu in found.items() if gpu.name == f"cuda:{name}" or _is_short_for(name, uuid)]
        if found and not gpus:
            raise SpecError(
                f"{name} is no GPU of this machine; parts of one (MIG) cannot be used.",
                field="CUDA_VISIBLE_DEVICES",
                remedy="Name whole GPUs, or say in GIFT_DEVICES what to compute on.",
            )
        mine += gpus
    return mine


def _is_short_for(name: str, uuid: str) -> bool:
    return name.startswith("GPU-") and uuid.startswith(name)


def free_memory(devices: Sequence[Device]) -> int | None:
    """Bytes that nobody has on the one of these GPUs that has most of them; None where that cannot be told."""
    names = {device.name for device in devices}
    found = [int(free) for index, free in _ask_driver("index", "memory.free") if f"cuda:{index}" in names]
    return max(found) * 2**20 if found else None


class DevicePool:
    """Which devices and side slots are free. A side slot is for a job that needs no device of its own."""

    def __init__(self, devices: Sequence[Device], side_slots: int) -> None:
        self.devices = tuple(devices)
        self.slots = len(self.devices) + side_slots
        # Held from choosing a job until it has its devices.
        self.lock = threading.Lock()
        self._free = {device.name for device in devices}
        self._side = side_slots

    def choose(self, waiting: Sequence[Job], busy: Collection[str]) -> Job | None:
        """The first job that fits beside what other workers of this host have.

        What an earlier one waits for is kept for it: otherwise it would never run.
        """
        kept: set[str] = set()
        for job in waiting:
            if job.devices == 0:
                if self._side:
                    return job
                continue
            suitable = {device.name for device in self.devices if device.answers_to(job.device)}
            if len(suitable) < job.devices:
                continue
            if len((self._free & suitable) - kept - set(busy)) >= job.devices:
                return job
            kept |= suitable
        return None

    @property
    def reach(self) -> Reach:
        """What could ever be placed here."""
        names = {"", *(device.name for device in self.devices), *(device.kind for device in self.devices)}
        return Reach(len(self.devices), frozenset(names))

    def place(self, job: Job, busy: Collection[str]) -> list[str]:
        """The devices for a chosen job, none for a side slot."""
        free = self._free - set(busy)
        return [d.name for d in self.devices if d.name in free and d.answers_to(job.device)][: job.devices]

    def take(self, placed_on: Sequence[str]) -> None:
        """Mark where a job was placed as taken."""
        if placed_on:
            self._free.difference_update(placed_on)
        else:
            self._side -= 1

    def give_back(self, taken: Sequence[str]) -> None:
        with self.lock:
            if taken:
                self._free.update(taken)
            else:
                self._side += 1


def visible_devices(names: Sequence[str]) -> dict[str, str]:
    """The environment variables that let a process see these devices and no other; a side slot sees no GPU."""
    numbers = [name.partition(":")[2] for name in names if name.startswith("cuda:")]
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(numbers)}


def _cpu() -> Device:
    cores = psutil.cpu_count(logical=True) or 1
    return Device(name="cpu", title=f"CPU, {cores} cores", memory=psutil.virtual_memory().total)


def _gpus() -> dict[str, Device]:
    """By UUID."""
    found = _ask_driver("uuid", "index", "name", "memory.total")
    return {
        identity: Device(name=f"cuda:{index}", title=title, memory=int(total) * 2**20)
        for identity, index, title, total in found
    }


def _ask_driver(*fields: str) -> list[list[str]]:
    """A row of each NVIDIA GPU, asked of the driver's own tool: importing torch for this would take seconds and
    gigabytes, and asking a GPU through it some of its memory for good. Sizes are in megabytes."""
    tool = which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        rows = [[part.strip() for part in line.split(",")] for line in answer.stdout.splitlines()]
        # A GPU that has failed is told of in a line of words, and what one does not know is "[N/A]".
        return [row for row in rows if len(row) == len(fields) and not any(part.startswith("[") for part in row)]
    return []
