"""The line in which jobs wait: whose turn is next, and how a person changes that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import claim
from workers import line
from workers.database import Database
from workers.experiments import LaunchOptions
from workers.records import Job, JobKind
from workers.store import ConflictError, JobStore, NotFoundError

SPEC = ExperimentSpec()


@pytest.fixture
def four(store: JobStore) -> list[str]:
    """The runs of one experiment, which have the same rank."""
    experiment, _ = store.create_experiment(ExperimentSpec(seeds=(1, 2)), None)
    return [run.id for run in store.runs(experiment.id)]


def waiting(store: JobStore) -> list[str]:
    return [job.id for job in store.waiting()]


def test_the_most_urgent_is_next_then_whoever_came_first_then_the_order_of_the_experiment(store: JobStore) -> None:
    options = (LaunchOptions(), LaunchOptions(), LaunchOptions(priority=5))
    first, second, urgent = (store.create_experiment(SPEC, None, each)[0] for each in options)
    wanted = [run.id for experiment in (urgent, first, second) for run in store.runs(experiment.id)]
    assert waiting(store) == wanted
    taken = []
    while job := store.claim("worker", "host", lambda waits, _: waits[0] if waits else None):
        taken.append(job.id)
    assert taken == wanted


@pytest.mark.parametrize(
    ("moved", "before", "wanted"),
    [
        (3, 1, [0, 3, 1, 2]),
        (2, 0, [2, 0, 1, 3]),
        (0, 3, [1, 2, 0, 3]),
        (1, 2, [0, 1, 2, 3]),
        (2, 2, [0, 1, 2, 3]),
    ],
)
def test_a_waiting_job_takes_the_place_before_another(
    store: JobStore, four: list[str], moved: int, before: int, wanted: list[int]
) -> None:
    store.reorder(four[moved], before=four[before])
    assert waiting(store) == [four[place] for place in wanted]
    later, _ = store.create_experiment(SPEC, None)
    assert waiting(store)[4:] == [run.id for run in store.runs(later.id)], "who comes later waits behind"


def test_places_do_not_run_out(store: JobStore, four: list[str]) -> None:
    # Halving the distance between two ranks would have come to its end long before.
    for _ in range(40):
        last, second = waiting(store)[-1], waiting(store)[1]
        store.reorder(last, before=second)
        assert waiting(store)[1] == last
    assert sorted(waiting(store)) == sorted(four)


def test_a_place_has_its_priority(store: JobStore, run_ids: list[str]) -> None:
    sft, gift = run_ids
    assert store.reorder(gift, priority=2).priority == 2
    assert waiting(store) == [gift, sft]
    assert store.reorder(sft, before=gift).priority == 2
    assert waiting(store) == [sft, gift]


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], JobStore]]:
    """One store for many examples, without a job each time."""
    with closing(JobStore(Database.in_file(tmp_path_factory.mktemp("line") / "store.sqlite3"))) as store:

        def empty() -> JobStore:
            for job in store.waiting():
                store.request_stop(job.id, "test")
                store.remove(job.id)
            return store

        yield empty


@given(
    jobs=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-2, 2), st.booleans()), min_size=2, max_size=8),
    data=st.data(),
)
@settings(max_examples=40)
def test_whoever_changes_places_with_oneself_moves_nobody_else(
    emptied: Callable[[], JobStore], jobs: list[tuple[str, int, bool]], data: st.DataObject
) -> None:
    store = emptied()
    for number, (owner, priority, aside) in enumerate(jobs):
        job = Job(id=f"j{number}", kind=JobKind.INSPECT, label="look", spec={}, created_by=owner, rank=number // 3)
        job.priority, job.devices = priority, int(not aside)
        store.add_job(job)
    moved, before = (store.job(data.draw(st.sampled_from(waiting(store)))) for _ in range(2))
    assume(moved.created_by == before.created_by and moved.devices == before.devices)
    lines = [line_of(store, devices) for devices in (0, 1)]
    store.reorder(moved.id, before=before.id, among_own=True)
    now = [line_of(store, devices) for devices in (0, 1)]
    for was, is_now in zip(lines, now, strict=True):
        assert [(job.created_by, job.priority) for job in was] == [(job.created_by, job.priority) for job in is_now]
        others = [(place, job.id) for place, job in enumerate(was) if job.created_by != moved.created_by]
        assert all(is_now[place].id == identity for place, identity in others)
    own = [job.id for job in now[moved.devices] if job.created_by == moved.created_by]
    assert moved.id == before.id or own.index(moved.id) == own.index(before.id) - 1


def line_of(store: JobStore, devices: int) -> list[Job]:
    return [job for job in store.waiting() if job.devices == devices]


def test_one_who_waits_for_a_device_has_no_place_among_those_who_do_not(store: JobStore, run_ids: list[str]) -> None:
    store.add_job(Job(id="look", kind=JobKind.INSPECT, label="look", spec={}, devices=0))
    with pytest.raises(ConflictError, match="the same thing"):
        store.reorder(run_ids[0], before="look", among_own=True)


def test_only_what_waits_has_a_place(store: JobStore, run_ids: list[str]) -> None:
    running, queued = run_ids
    assert claim(store, running)
    for moved, before in ((running, queued), (queued, running)):
        with pytest.raises(ConflictError, match="SFT does not wait any more"):
            store.reorder(moved, before=before)
    with pytest.raises(NotFoundError):
        store.reorder("nope", priority=1)


def test_a_side_job_does_not_stand_behind_a_long_line_of_trainings(
    store: JobStore, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_LOOKED_AT", 2)
    store.add_job(Job(id="look", kind=JobKind.INSPECT, label="look", spec={}, devices=0))
    seen: list[str] = []
    assert store.claim("worker", "host", lambda waits, _: seen.extend(job.id for job in waits)) is None
    assert seen == ["look", *four[:2]] == [job.id for job in store.next_in_line()]
