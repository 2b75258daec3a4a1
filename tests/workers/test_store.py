"""The run store keeps its promises with several writers, and refuses what must not happen."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import claim
from workers.attempts import MOST_LOSSES, Orders
from workers.database import Database
from workers.dataset_records import DatasetRecords
from workers.experiments import LaunchOptions
from workers.keys import Claim, KeyConflictError
from workers.metrics import MetricLine
from workers.moves import IllegalTransitionError, move
from workers.observations import JobFilter
from workers.records import ENDED, TRANSITIONS, Dataset, Job, JobKind, JobState, StopMode
from workers.store import ConflictError, JobStore, NotFoundError

SPEC = ExperimentSpec()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    opened = JobStore(Database(database_url))
    yield opened
    opened.close()


def line(number: int, **values: float) -> MetricLine:
    return MetricLine(number=number, step=number * 10, time=1.0, phase="training", total_steps=160, values=values)


def test_a_double_click_creates_one_experiment(store: JobStore) -> None:
    together = threading.Barrier(8)

    def create(_: int) -> tuple[str, bool]:
        together.wait()
        experiment, created = store.create_experiment(SPEC, Claim("one-click", "asked"))
        return experiment.id, created

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, range(8)))
    assert len({identifier for identifier, _ in answers}) == 1
    assert sorted(created for _, created in answers) == [False] * 7 + [True]
    assert len(store.experiments()) == 1
    assert [run.label for run in store.jobs()] == ["SFT", "GIFT"]


def test_processes_that_open_a_new_store_at_once_share_it(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite3"
    program = (
        "import sys; from pathlib import Path; from workers.store import JobStore;"
        "from workers.database import Database;"
        "from gift_core.spec import ExperimentSpec; from workers.keys import Claim;"
        "print('ready', flush=True); sys.stdin.read(); store = JobStore(Database.in_file(Path(sys.argv[1])));"
        "[store.create_experiment(ExperimentSpec(), Claim(f'key {i}', 'asked')) for i in range(5)]"
    )
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdin=PIPE, stdout=PIPE)
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    store = JobStore(Database.in_file(path))
    assert len(store.experiments()) == 5
    assert len(store.jobs()) == 10
    store.close()


def test_a_key_used_for_another_experiment_is_a_conflict(store: JobStore) -> None:
    store.create_experiment(SPEC, Claim("key", "asked"))
    with pytest.raises(KeyConflictError, match="already used") as caught:
        store.create_experiment(ExperimentSpec(seeds=(2,)), Claim("key", "asked for another"))
    assert caught.value.code == "conflict"
    assert len(store.jobs()) == 2


def test_without_a_key_every_launch_is_an_experiment(store: JobStore) -> None:
    first, _ = store.create_experiment(SPEC, None)
    second, created = store.create_experiment(SPEC, None)
    assert created
    assert first.id != second.id
    assert re.fullmatch(r"exp_[a-z0-9]{12}", first.id)


def test_names_are_made_up_when_left_out(store: JobStore) -> None:
    DatasetRecords(store.database).add(Dataset(id="ds_1", name="mine.jsonl", suffix=".jsonl", bytes=1, rows=1))
    of_file = SPEC.model_dump() | {"run": {"data": {"source": {"kind": "file", "dataset": "ds_1"}}}}
    assert store.create_experiment(SPEC, None)[0].name == "Sudoku 4x4 · SFT + GIFT · lr 0.0005 · #1"
    assert store.create_experiment(ExperimentSpec(name="Mine"), None)[0].name == "Mine"
    of_file_name = store.create_experiment(ExperimentSpec.parse(of_file), None)[0].name
    assert of_file_name == "mine.jsonl · SFT + GIFT · lr 0.0005 · #3"


@pytest.mark.parametrize("given", [" Mine ", "Mine\n", "\tMine", "\u202eMine\u2069", "Mine\u200b"])
def test_names_are_trimmed_of_blanks_and_invisible_marks(store: JobStore, given: str) -> None:
    assert store.create_experiment(ExperimentSpec(name=given), None)[0].name == "Mine"


def test_a_name_of_blanks_alone_is_made_up(store: JobStore) -> None:
    assert store.create_experiment(ExperimentSpec(name=" \n\u200b"), None)[0].name.startswith("Sudoku 4x4")


def test_experiments_are_listed_newest_first_and_in_pages(store: JobStore) -> None:
    ids = [store.create_experiment(SPEC, None)[0].id for _ in range(3)][::-1]
    page = store.experiments(limit=2)
    rest = store.experiments(limit=2, before=(page[-1].created, page[-1].id))
    assert [experiment.id for experiment in page + rest] == ids


@pytest.mark.parametrize("what", ["experiment", "job"])
def test_an_unknown_id_is_named(store: JobStore, what: str) -> None:
    with pytest.raises(NotFoundError, match="'nope'"):
        getattr(store, what)("nope")


def test_one_of_many_workers_gets_the_run(store: JobStore, run_ids: list[str]) -> None:
    together = threading.Barrier(8)

    def take(worker: int) -> Job | None:
        together.wait()
        return claim(store, run_ids[0], f"worker {worker}")

    with ThreadPoolExecutor(8) as threads:
        winners = [run for run in threads.map(take, range(8)) if run]
    assert len(winners) == 1
    assert store.job(run_ids[0]).owner == winners[0].owner
    assert [run.id for run in store.waiting()] == run_ids[1:]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_only_the_transitions_of_the_table_are_possible(
    store: JobStore, run_ids: list[str], before: JobState, after: JobState
) -> None:
    bring_to(store, run_ids[0], before)
    history = store.transitions(job_id=run_ids[0])
    with store._write() as session:
        run = session.get(Job, run_ids[0])
        assert run is not None
        if after in TRANSITIONS[before]:
            move(session, run, after, by="test")
        else:
            with pytest.raises(IllegalTransitionError):
                move(session, run, after, by="test")
    legal = after in TRANSITIONS[before]
    assert store.job(run_ids[0]).state == (after if legal else before)
    assert len(store.transitions(job_id=run_ids[0])) == len(history) + legal


def bring_to(store: JobStore, run_id: str, state: JobState) -> None:
    if state is JobState.QUEUED:
        return
    job = claim(store, run_id)
    assert job
    assert job.owner
    if state in (JobState.STOPPING, JobState.STOPPED):
        store.request_stop(run_id, "user")
    if state in ENDED:
        assert store.end(run_id, job.owner, state, "test")


def test_every_change_of_state_is_kept_with_who_and_why(store: JobStore, run_ids: list[str]) -> None:
    bring_to(store, run_ids[0], JobState.STOPPED)
    history = store.transitions(job_id=run_ids[0])
    assert [(item.before, item.after, item.owner) for item in history] == [
        (None, "queued", ""),
        ("queued", "running", "worker"),
        ("running", "stopping", "user"),
        ("stopping", "stopped", "worker/1"),
    ]
    assert [item.id for item in store.transitions(after=history[1].id or 0, job_id=run_ids[0])] == [
        item.id for item in history[2:]
    ]


def test_only_the_attempt_that_has_a_job_can_touch_it(store: JobStore, run_ids: list[str]) -> None:
    run_id = run_ids[0]
    first = claim(store, run_id)
    assert first
    assert first.owner
    (pulse,) = store.pulses()
    assert store.lose(pulse)
    # The same worker takes it again: its first attempt, woken up, must not be taken for the second.
    second = claim(store, run_id)
    assert second
    assert second.attempt == 2
    assert store.beat(run_id, first.owner, [line(1, loss=1.0)]) is None
    assert not store.end(run_id, first.owner, JobState.FINISHED, "finished")
    assert not store.hand_back(run_id, first.owner, "stopped")
    assert not store.started(run_id, first.owner, 1)
    assert store.job(run_id).state == JobState.RUNNING
    assert store.metrics(None, after=0) == []

    assert second.owner
    assert store.beat(run_id, second.owner) == Orders(JobState.RUNNING, None)
    store.request_stop(run_id, "user")
    assert store.beat(run_id, second.owner) == Orders(JobState.STOPPING, StopMode.SAVE)
    # Saving takes too long: nothing is worth keeping after all. That cannot be taken back.
    store.request_stop(run_id, "user", StopMode.DISCARD)
    store.request_stop(run_id, "user", StopMode.SAVE)
    assert store.beat(run_id, second.owner) == Orders(JobState.STOPPING, StopMode.DISCARD)


def test_stopping(store: JobStore, run_ids: list[str]) -> None:
    queued, running = run_ids
    claim(store, running)
    assert store.request_stop(queued, "user").state == JobState.STOPPED
    assert store.request_stop(running, "user").state == JobState.STOPPING
    assert store.request_stop(running, "user").state == JobState.STOPPING
    assert store.request_stop(queued, "user").state == JobState.STOPPED
    assert claim(store, queued) is None
    with pytest.raises(NotFoundError):
        store.request_stop("nope", "user")


def test_a_silent_worker_loses_its_run_which_goes_on_by_itself_a_few_times(store: JobStore, run_ids: list[str]) -> None:
    run_id = run_ids[0]
    for loss in range(1, MOST_LOSSES + 2):
        job = claim(store, run_id)
        assert job
        (pulse,) = store.pulses()
        assert store.beat(run_id, job.owner or "")
        assert store.lose(pulse) is None, "there was another sign of life"
        (pulse,) = store.pulses()
        lost = store.lose(pulse)
        assert lost
        assert lost.losses == loss
        assert store.lose(pulse) is None
    assert lost.state == JobState.INTERRUPTED
    assert lost.failure is not None
    assert lost.failure["code"] == "lost_worker"
    assert lost.failure["remedy"]
    # A person who asks for it starts the count anew.
    again = store.requeue(run_id, "user", "resumed")
    assert (again.state, again.losses, again.failure) == (JobState.QUEUED, 0, None)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_has_not_finished_can_be_taken_up_again(store: JobStore, run_ids: list[str], state: JobState) -> None:
    bring_to(store, run_ids[0], state)
    if state is JobState.FINISHED:
        with pytest.raises(ConflictError, match="has finished"):
            store.requeue(run_ids[0], "user", "resumed")
        return
    again = store.requeue(run_ids[0], "user", "from the start", fresh=True)
    assert (again.state, again.fresh) == (JobState.QUEUED, True)
    assert store.requeue(run_ids[0], "user", "pressed twice").state == JobState.QUEUED
    assert [item.cause for item in store.transitions(job_id=run_ids[0])][-1] == "from the start"


def test_metrics_are_read_by_cursor_and_stored_once(store: JobStore, run_ids: list[str]) -> None:
    one, two = (claim(store, run_id) for run_id in run_ids)
    assert one
    assert two
    lines = [line(1), line(2, loss=2.0), line(3, loss=1.5, tokens_per_second=900.0)]
    store.beat(one.id, one.owner or "", lines)
    store.beat(two.id, two.owner or "", [line(1, loss=3.0)])
    first = store.metrics(None, after=0)
    store.beat(one.id, one.owner or "", [line(2, loss=2.0), line(3, loss=1.5), line(4, loss=1.0)])
    news = store.metrics(None, after=first[-1].cursor or 0)

    assert [(point.job_id, point.line, point.values["loss"]) for point in first + news] == [
        (run_ids[0], 2, 2.0),
        (run_ids[0], 3, 1.5),
        (run_ids[1], 1, 3.0),
        (run_ids[0], 4, 1.0),
    ]
    cursors = [point.cursor or 0 for point in first + news]
    assert cursors == sorted(set(cursors))
    assert [point.line for point in store.metrics([run_ids[1]], after=0)] == [1]
    assert store.metrics([], after=0) == []
    run = store.job(run_ids[0])
    assert (run.step, run.total_steps, run.phase, run.tokens_per_second) == (40, 160, "training", 900.0)
    assert run.latest == {"loss": 1.0, "tokens_per_second": 900.0}


@pytest.mark.parametrize(("from_step", "kept"), [(20, [10, 20, 30, 40]), (0, [30, 40])])
def test_an_attempt_that_goes_on_replaces_what_was_reported_after_its_checkpoint(
    store: JobStore, run_ids: list[str], from_step: int, kept: list[int]
) -> None:
    first = claim(store, run_ids[0])
    assert first
    store.beat(first.id, first.owner or "", [line(number, loss=1.0) for number in (1, 2, 3)])
    store.hand_back(first.id, first.owner or "", "the studio was stopped")
    second = claim(store, run_ids[0])
    assert second
    begins = MetricLine(number=1, step=from_step, time=2.0, phase="loading")
    store.beat(second.id, second.owner or "", [begins, line(3, loss=1.0), line(4, loss=1.0)])
    assert [point.step for point in store.metrics([first.id], after=0)] == kept


def test_the_queue_is_taken_by_priority_then_rank(store: JobStore) -> None:
    ids = [add(store, name).id for name in "abcd"]
    store.reorder(ids[2], priority=1)
    store.reorder(ids[3], before=ids[0])
    assert [job.label for job in store.waiting()] == ["c", "d", "a", "b"]
    store.reorder(ids[1], before=ids[2])
    assert [job.label for job in store.waiting()] == ["b", "c", "d", "a"]
    taken = [store.claim("worker", "host", lambda waiting, _: waiting[0]) for _ in ids]
    assert [job.label for job in taken if job] == ["b", "c", "d", "a"]
    with pytest.raises(ConflictError, match="does not wait any more"):
        store.reorder(ids[0], priority=2)


def test_nothing_is_taken_from_a_paused_queue(store: JobStore) -> None:
    add(store, "a")
    store.set_paused(True, "user")
    assert store.paused
    assert store.claim("worker", "host", lambda waiting, _: waiting[0]) is None
    store.set_paused(False, "user")
    assert store.claim("worker", "host", lambda waiting, _: waiting[0])


def test_the_runs_behind_a_failed_one_stop_where_their_experiment_says_so(store: JobStore) -> None:
    for stop_on_failure, states in ((True, ["failed", "stopped"]), (False, ["failed", "queued"])):
        options = LaunchOptions(stop_on_failure=stop_on_failure)
        experiment, _ = store.create_experiment(SPEC, None, options)
        first, _ = store.runs(experiment.id)
        bring_to(store, first.id, JobState.FAILED)
        assert [run.state for run in store.runs(experiment.id)] == states


def test_the_same_key_is_the_same_job(store: JobStore) -> None:
    def push(identity: str, repository: str) -> Job:
        job = Job(id=identity, kind=JobKind.PUSH, label="push", spec={"repository": repository})
        return store.add_job(job, claim=Claim("key", repository))[0]

    assert push("push_1", "me/a").id == push("push_2", "me/a").id == "push_1"
    with pytest.raises(KeyConflictError, match="already used"):
        push("push_3", "me/b")
    # What was deleted since is made again.
    bring_to(store, "push_1", JobState.STOPPED)
    store.remove("push_1")
    assert push("push_4", "me/a").id == push("push_5", "me/a").id == "push_4"


def test_only_what_has_ended_and_is_not_pinned_can_be_removed(store: JobStore, run_ids: list[str]) -> None:
    with pytest.raises(ConflictError, match="queued"):
        store.remove(run_ids[0])
    bring_to(store, run_ids[0], JobState.STOPPED)
    store.pin(run_ids[0], True)
    with pytest.raises(ConflictError, match="pinned"):
        store.remove(run_ids[0])
    store.pin(run_ids[0], False)
    store.remove(run_ids[0])
    with pytest.raises(NotFoundError):
        store.job(run_ids[0])
    assert store.transitions(job_id=run_ids[0]) == []


def test_jobs_are_listed_in_pages_that_neither_lose_nor_repeat_one(store: JobStore) -> None:
    for _ in range(3):
        store.create_experiment(SPEC, None)
    everything = [job.id for job in store.jobs()]
    pages: list[Job] = []
    while page := store.jobs(limit=2, after=_place(pages[-1]) if pages else None):
        pages += page
    assert [job.id for job in pages] == everything
    assert store.jobs(JobFilter(text="gif"), limit=1)[0].label == "GIFT"
    assert store.jobs(JobFilter(kind=JobKind.PUSH)) == []


def _place(job: Job) -> tuple[float, int, str]:
    return job.created, job.position, job.id


def add(store: JobStore, label: str) -> Job:
    return store.add_job(Job(id=f"job_{label}", kind=JobKind.EXPORT, label=label, spec={}))[0]


def test_the_same_data_set_twice_is_one(store: JobStore) -> None:
    records = DatasetRecords(store.database)
    for _ in range(2):
        stored = records.add(Dataset(id="ds_1", name="a.csv", suffix=".csv", bytes=3, rows=1))
        assert stored.name == "a.csv"
    assert [dataset.id for dataset in records.list()] == ["ds_1"]
    assert records.get("ds_2") is None
