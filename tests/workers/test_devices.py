"""Which of the waiting jobs a worker's free devices take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core.errors import SpecError
from workers.devices import Device, DevicePool, find_devices, free_memory, visible_devices
from workers.records import Job

GPUS = [Device(name=f"cuda:{number}", title="GPU", memory=1) for number in range(2)]
CPU = [Device(name="cpu", title="CPU", memory=1)]


def job(name: str, devices: int = 1, device: str = "") -> Job:
    return Job(id=name, label=name, spec={}, devices=devices, device=device)


def place(pool: DevicePool, waiting: list[Job]) -> dict[str, list[str]]:
    """Take what fits, one job after the other."""
    placed = {}
    while chosen := pool.choose([one for one in waiting if one.id not in placed], set()):
        placed[chosen.id] = pool.place(chosen, set())
        pool.take(placed[chosen.id])
    return placed


def test_jobs_are_placed_in_their_order_until_nothing_is_free() -> None:
    pool = DevicePool(GPUS, side_slots=1)
    waiting = [job("a"), job("b"), job("c"), job("side", devices=0), job("other side", devices=0)]
    assert place(pool, waiting) == {"a": ["cuda:0"], "b": ["cuda:1"], "side": []}
    pool.give_back(["cuda:1"])
    pool.give_back([])
    left = [one for one in waiting if one.id in ("c", "other side")]
    assert place(pool, left) == {"c": ["cuda:1"], "other side": []}


def test_a_job_that_waits_for_two_devices_is_not_overtaken() -> None:
    pool = DevicePool(GPUS, side_slots=1)
    assert place(pool, [job("first")]) == {"first": ["cuda:0"]}
    waiting = [job("both", devices=2), job("small"), job("side", devices=0)]
    assert place(pool, waiting) == {"side": []}, "what needs no device is not in its way"
    pool.give_back(["cuda:0"])
    assert place(pool, waiting[:2]) == {"both": ["cuda:0", "cuda:1"]}
    pool.give_back(["cuda:0", "cuda:1"])
    assert place(pool, waiting[1:2]) == {"small": ["cuda:0"]}


def test_a_job_that_waits_for_one_device_keeps_no_other_free() -> None:
    pool = DevicePool(GPUS, side_slots=0)
    assert place(pool, [job("first", device="cuda:0")]) == {"first": ["cuda:0"]}
    waiting = [job("same", device="cuda:0"), job("any")]
    assert place(pool, waiting) == {"any": ["cuda:1"]}


@pytest.mark.parametrize("other", [job("gpu", device="cuda"), job("third", device="cuda:3"), job("many", devices=3)])
def test_a_job_for_other_devices_is_left_and_is_in_nobodys_way(other: Job) -> None:
    pool = DevicePool(CPU, side_slots=1)
    assert place(pool, [other, job("mine", device="cpu"), job("too late")]) == {"mine": ["cpu"]}


@pytest.mark.parametrize(
    ("taken", "visible"), [([], ""), (["cpu"], ""), (["cuda:1"], "1"), (["cuda:0", "cuda:2"], "0,2")]
)
def test_a_process_sees_its_own_devices_alone(taken: list[str], visible: str) -> None:
    assert visible_devices(taken)["CUDA_VISIBLE_DEVICES"] == visible


def test_a_device_that_is_not_there_is_named() -> None:
    (cpu,) = find_devices("cpu")
    assert cpu.memory > 0
    with pytest.raises(SpecError, match="no device cuda:77") as refused:
        find_devices("cpu, cuda:77")
    assert "cpu" in refused.value.problems[0].remedy


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The driver's tool as it answers on a machine with GPUs, a line for each."""

    def answer(lines: str) -> None:
        tool = tmp_path / "nvidia-smi"
        # It is asked for different columns of the same table.
        tool.write_text(
            f"""#!{sys.executable}
import csv, sys
columns = ["index", "uuid", "name", "memory.total", "memory.free"]
asked = sys.argv[1].removeprefix("--query-gpu=").split(",")
for row in csv.reader({lines.strip().splitlines()!r}, skipinitialspace=True):
    print(", ".join(row[columns.index(name)] for name in asked) if len(row) > 1 else row[0])
"""
        )
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return answer


TWO_GPUS = """
0, GPU-1f2e, NVIDIA H100 80GB HBM3, 81559, 81000
1, GPU-9c0d, NVIDIA H100 80GB HBM3, 81559, 512
"""


@pytest.mark.parametrize(
    ("asked", "visible", "found"),
    [
        ("auto", None, ["cuda:0", "cuda:1"]),
        ("auto", "1", ["cuda:1"]),
        ("auto", " 0, 1 ", ["cuda:0", "cuda:1"]),
        ("auto", "GPU-9c", ["cuda:1"]),
        ("auto", "", ["cpu"]),
        ("auto", "-1", ["cpu"]),
        ("cuda:0", "1", ["cuda:0"]),
        ("cpu", None, ["cpu"]),
    ],
)
def test_automatic_is_what_cuda_may_see(
    driver: Callable[[str], None], asked: str, visible: str | None, found: list[str]
) -> None:
    driver(TWO_GPUS)
    assert [device.name for device in find_devices(asked, visible)] == found


@pytest.mark.parametrize("visible", ["2", "MIG-1f2e", "0,GPU-77"])
def test_what_cuda_may_see_and_is_not_there_is_named(driver: Callable[[str], None], visible: str) -> None:
    driver(TWO_GPUS)
    with pytest.raises(SpecError, match=r"CUDA_VISIBLE_DEVICES: .* is no GPU of this machine") as refused:
        find_devices("auto", visible)
    assert "GIFT_DEVICES" in refused.value.problems[0].remedy
    assert [device.name for device in find_devices("cuda:1", visible)] == ["cuda:1"]


def test_the_driver_tells_what_is_free_and_a_gpu_that_failed_is_left_out(driver: Callable[[str], None]) -> None:
    driver(TWO_GPUS)
    first, second = find_devices()
    assert (first.title, first.memory) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20)
    assert [free_memory(gpus) for gpus in ([first], [second], [second, first])] == [
        81000 * 2**20,
        512 * 2**20,
        81000 * 2**20,
    ]
    driver("Unable to determine the device handle for GPU0000:01:00.0: Unknown Error\n1, GPU-9c0d, H100, 81559, [N/A]")
    assert [device.name for device in find_devices()] == ["cuda:1"]
    assert free_memory([second]) is None


def test_devices_that_another_worker_of_the_host_uses_are_not_waited_for_by_those_who_need_others() -> None:
    pool = DevicePool(GPUS, side_slots=1)
    named, other, both = job("named", device="cuda:0"), job("other", device="cuda:1"), job("both", devices=2)
    assert pool.choose([named, other], {"cuda:0"}) is other
    assert pool.place(other, {"cuda:0"}) == ["cuda:1"]
    assert pool.choose([both, other], {"cuda:0"}) is None, "what it waits for is kept for it"
    side = job("side", devices=0)
    assert pool.choose([named, side], {"cuda:0", "cuda:1"}) is side
    assert pool.place(side, {"cuda:0", "cuda:1"}) == []
