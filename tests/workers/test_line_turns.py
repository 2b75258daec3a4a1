"""Jobs for a side slot take turns by account, whatever one account has asked for before."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.conftest import claim
from workers.records import Job, JobKind
from workers.store import JobStore


def ask(store: JobStore, name: str, by: str, priority: int = 0, devices: int = 0) -> None:
    job = Job(id=name, kind=JobKind.DENOISE, label=name, spec={}, devices=devices, created_by=by, priority=priority)
    store.add_job(job, by)


def waiting(store: JobStore) -> list[str]:
    return [job.id for job in store.waiting()]


def test_the_first_of_another_account_is_next_but_one(store: JobStore) -> None:
    for number in range(5):
        ask(store, f"a{number}", "a")
    for name in ("b0", "b1", "c0"):
        ask(store, name, name[0])
    assert waiting(store) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]
    assert claim(store, "a0")
    ask(store, "d0", "d")
    ask(store, "a5", "a")
    assert waiting(store) == ["b0", "c0", "a1", "d0", "b1", "a2", "a3", "a4", "a5"]


def test_priorities_and_jobs_that_need_a_device_stay_where_they_are(store: JobStore) -> None:
    ask(store, "urgent", "a", priority=1)
    for number in range(3):
        ask(store, f"train{number}", "a", devices=1)
        ask(store, f"a{number}", "a")
    ask(store, "train3", "b", devices=1)
    ask(store, "b0", "b")
    line = waiting(store)
    assert line[0] == "urgent"
    assert [name for name in line if name.startswith("train")] == ["train0", "train1", "train2", "train3"]
    assert [name for name in line if name[0] in "ab"] == ["a0", "b0", "a1", "a2"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abc") | st.just("take"), max_size=25))
def test_nobody_waits_for_more_than_one_job_of_each_other_account(store: JobStore, asked: list[str]) -> None:
    for waits in store.waiting():
        assert claim(store, waits.id)
    made = Counter[str]()
    for number, what in enumerate(asked):
        if what == "take":
            if line := waiting(store):
                assert claim(store, line[0])
            continue
        name = f"{what}{made[what]:03}-{number}-{len(store.jobs(limit=None))}"
        made[what] += 1
        ask(store, name, what)
        line = waiting(store)
        before = Counter(each[0] for each in line[: line.index(name)])
        own = before.pop(what, 0)
        assert all(count <= own + 1 for count in before.values()), (name, line)
        ours = [each for each in line if each[0] == what]
        assert ours == sorted(ours), "an account's own jobs stay in their order"
