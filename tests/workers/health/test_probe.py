"""The probe finds out what would keep a job from being carried out, and the gate waits until nothing does."""

from __future__ import annotations

import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gift_core.errors import GiftError
from tests import forked
from tests.faults.unprivileged import obey_permissions
from workers.disk import DiskFullError
from workers.health.gate import Gate
from workers.health.probe import NotReadyError, Probe
from workers.locations import ServiceUnavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_machine_that_is_well_is_found_to_be_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    probe = Probe(tmp_path)
    probe.check()
    assert probe.problem() is None
    assert [path.name for path in tmp_path.rglob("*")] == ["runs"]


def problem_of(data: Path, before: str, connection: Connection) -> None:
    """What is found in a process that is kept from something first."""
    if before == "permissions":
        obey_permissions()
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    found = Probe(data).problem()
    connection.send(str(found))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("permissions", "The data folder cannot be written to: Permission denied."),
        ("descriptors", "No further files can be opened: Too many open files."),
    ],
)
def test_what_a_process_may_not_is_said(tmp_path: Path, before: str, said: str) -> None:
    (tmp_path / "runs").mkdir()
    if before == "permissions":
        (tmp_path / "runs").chmod(0o555)
    process, told = forked.start_telling(problem_of, tmp_path, before)
    assert told.recv().startswith(said)
    process.join(60)


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(NotReadyError, match="cannot be written to: Not a directory") as refused:
        Probe(tmp_path).check("folder")
    assert "go on by themselves" in refused.value.problems[0].remedy
    assert str(tmp_path) not in str(refused.value)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    data = tmp_path / "data"
    data.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", data], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield data
    subprocess.run(["umount", "--lazy", data], check=True)


def test_a_full_disk_is_said_as_such(tiny_disk: Path) -> None:
    Probe(tiny_disk).check()
    (tiny_disk / "filling").write_bytes(bytes(60_000))
    with (tiny_disk / "more").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(DiskFullError, match="no room left"):
        Probe(tiny_disk).check()


def test_less_room_than_has_to_stay_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="nearly full"):
        Probe(tmp_path, floor_bytes=10**18).check("room")


def test_what_was_found_counts_for_a_second(tmp_path: Path, clock: Clock) -> None:
    probe = Probe(tmp_path, clock=clock)
    probe.check()
    (tmp_path / "runs").touch()
    probe.check()
    assert probe.problem(fresh=True), "unless somebody has reason to look again"
    (tmp_path / "runs").unlink()
    clock.now += 1.1
    probe.check()


def test_a_server_is_asked_by_a_worker_and_named_without_its_address(tmp_path: Path) -> None:
    def away() -> None:
        raise ServiceUnavailable("The store at postgresql://host/secret does not answer.")

    probe = Probe(tmp_path, servers={"store": away})
    probe.check()
    problem = probe.problem()
    assert problem
    assert problem.message == "The store does not answer."


def test_a_folder_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.health.probe._PATIENCE_SECONDS", 0.1)
    entered, over = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        entered.set()
        over.wait(60)

    monkeypatch.setattr("workers.health.probe._check_folder", hang)
    probe = Probe(tmp_path)
    first = threading.Thread(target=probe.problem)
    first.start()
    assert entered.wait(60)
    with pytest.raises(NotReadyError, match="does not answer"):
        probe.check()
    over.set()
    first.join(60)


# The gate


@pytest.fixture
def broken() -> list[GiftError]:
    """What is wrong with the server that the worker needs."""
    return []


@pytest.fixture
def gate(tmp_path: Path, clock: Clock, broken: list[GiftError]) -> Gate:
    def server() -> None:
        if broken:
            raise broken[0]

    return Gate(Probe(tmp_path, servers={"store": server}, clock=clock), pause=1.0, clock=clock)


def closed_for(gate: Gate, clock: Clock) -> float:
    began = clock.now
    while not gate.may_take():
        clock.now += 0.25
    return clock.now - began


def test_each_fault_closes_it_for_twice_as_long_until_a_job_has_ended_well(gate: Gate, clock: Clock) -> None:
    assert gate.may_take()
    lasted = []
    for _ in range(6):
        gate.met("Too many open files.")
        assert gate.held_up == "Too many open files."
        lasted.append(closed_for(gate, clock))
        assert gate.held_up == ""
    assert lasted == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    gate.went_well()
    gate.met("Too many open files.")
    assert closed_for(gate, clock) == 1.0


def test_it_stays_closed_while_the_probe_fails(gate: Gate, clock: Clock, broken: list[GiftError]) -> None:
    broken.append(ServiceUnavailable("away"))
    assert not gate.may_take()
    clock.now += 1000
    assert not gate.may_take()
    assert gate.held_up.startswith("The store does not answer.")
    broken.clear()
    assert closed_for(gate, clock) <= 2.0
    assert gate.may_take()


def test_jobs_that_meet_the_same_fault_at_once_close_it_once(gate: Gate, clock: Clock) -> None:
    for _ in range(5):
        gate.met("Input/output error.")
    assert closed_for(gate, clock) == 1.0
