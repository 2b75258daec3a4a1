"""What people do to the store: launching, stopping, resuming, ordering the queue, removing."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from gift_core.spec import ExperimentSpec
from tests.workers.conftest import Claim
from workers.database import Database
from workers.experiments import LaunchOptions
from workers.metrics import MetricLine
from workers.observations import JobFilter
from workers.records import Dataset, Job, JobKind, JobState, StopMode
from workers.store import ConflictError, JobStore, NotFoundError

SAVE, DISCARD = StopMode

SPEC = ExperimentSpec()
ROOT = Path(__file__).resolve().parents[2]


def test_a_double_click_creates_one_experiment(store: JobStore) -> None:
    together = threading.Barrier(8)

    def create(_: int) -> tuple[str, bool]:
        together.wait()
        experiment, created = store.create_experiment(SPEC, "one-click")
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
        "from gift_core.spec import ExperimentSpec;"
        "print('ready', flush=True); sys.stdin.read(); store = JobStore(Database.in_file(Path(sys.argv[1])));"
        "[store.create_experiment(ExperimentSpec(), f'key {i}') for i in range(5)]"
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
    store.create_experiment(SPEC, "key")
    with pytest.raises(ConflictError, match="already used") as caught:
        store.create_experiment(ExperimentSpec(seeds=(2,)), "key")
    assert caught.value.code == "conflict"
    assert len(store.jobs()) == 2


def test_without_a_key_every_launch_is_an_experiment(store: JobStore) -> None:
    first, _ = store.create_experiment(SPEC, None)
    second, created = store.create_experiment(SPEC, None)
    assert created
    assert first.id != second.id
    assert re.fullmatch(r"exp_[a-z0-9]{12}", first.id)


def test_names_are_made_up_when_left_out(store: JobStore) -> None:
    store.add_dataset(Dataset(id="ds_1", name="mine.jsonl", suffix=".jsonl", bytes=1, rows=1))
    of_file = SPEC.model_dump() | {"run": {"data": {"source": {"kind": "file", "dataset": "ds_1"}}}}
    assert re.match(r"Sudoku 4x4 · SFT \+ GIFT · \d+ \w+ \d\d:\d\d", store.create_experiment(SPEC, None)[0].name)
    assert store.create_experiment(ExperimentSpec.parse(of_file), None)[0].name.startswith("mine.jsonl · SFT")
    assert store.create_experiment(ExperimentSpec(name="Mine"), None)[0].name == "Mine"


def test_experiments_are_listed_newest_first_and_in_pages(store: JobStore) -> None:
    ids = [store.create_experiment(SPEC, None)[0].id for _ in range(3)][::-1]
    page = store.experiments(limit=2)
    rest = store.experiments(limit=2, before=(page[-1].created, page[-1].id))
    assert [experiment.id for experiment in page + rest] == ids


@pytest.mark.parametrize("what", ["experiment", "job"])
def test_an_unknown_id_is_named(store: JobStore, what: str) -> None:
    with pytest.raises(NotFoundError, match="'nope'"):
        getattr(store, what)("nope")


def side_job(identity: str, **fields: object) -> Job:
    return Job(id=identity, kind=JobKind.INSPECT, label=identity, spec={}, devices=0, **fields)


def test_a_job_asked_for_twice_is_one(store: JobStore) -> None:
    _, created = store.add_job(side_job("a", idempotency_key="key"), by="someone")
    again, created_again = store.add_job(side_job("a"))
    same_key, by_key = store.add_job(side_job("b", idempotency_key="key"))
    assert (created, created_again, by_key) == (True, False, False)
    assert again.id == same_key.id == "a"
    other = side_job("c", idempotency_key="key")
    other.spec = {"examples": 3}
    with pytest.raises(ConflictError, match="already used"):
        store.add_job(other)
    assert [(move.after, move.owner) for move in store.transitions()] == [("queued", "someone")]


def test_stopping(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    queued, running = run_ids
    claim(running)
    assert store.request_stop(queued, "user").state == JobState.STOPPED
    assert store.request_stop(running, "user").state == JobState.STOPPING
    assert store.request_stop(running, "user").state == JobState.STOPPING
    assert store.request_stop(queued, "user").state == JobState.STOPPED
    assert store.waiting() == []
    with pytest.raises(NotFoundError):
        store.request_stop("nope", "user")


def test_a_stop_that_saves_can_become_one_that_discards_and_not_the_other_way(
    store: JobStore, run_ids: list[str], claim: Claim
) -> None:
    claim(run_ids[0])
    modes = [store.request_stop(run_ids[0], "user", mode).stop_mode for mode in (SAVE, DISCARD, SAVE)]
    assert modes == [SAVE, DISCARD, DISCARD]


@pytest.mark.parametrize("ended", [JobState.STOPPED, JobState.FAILED, JobState.INTERRUPTED])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_has_not_finished_is_queued_again(
    store: JobStore, run_ids: list[str], claim: Claim, ended: JobState, fresh: bool
) -> None:
    run_id = run_ids[0]
    job = claim(run_id)
    if ended is JobState.STOPPED:
        store.request_stop(run_id, "user")
    assert store.end(run_id, job.owner or "", ended, "test", {"steps": 3}, {"code": "data", "message": "Row 3."})
    again = store.requeue(run_id, "user", "resumed", fresh=fresh)
    assert (again.state, again.result, again.failure, again.ended) == (JobState.QUEUED, None, None, None)
    assert (again.stop_mode, again.owner) == (None, None)
    assert store.requeue(run_id, "user", "twice").state == JobState.QUEUED, "one that waits is left alone"
    taken = claim(run_id)
    assert (taken.attempt, taken.fresh) == (2, fresh)
    assert store.requeue(run_id, "user", "too late").state == JobState.RUNNING


def test_what_has_finished_stays_so(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    job = claim(run_ids[0])
    store.end(job.id, job.owner or "", JobState.FINISHED, "finished")
    with pytest.raises(ConflictError, match="finished"):
        store.requeue(job.id, "user", "resumed")
    assert store.request_stop(job.id, "user").state == JobState.FINISHED


def test_the_next_in_line_is_the_most_urgent_then_the_first(store: JobStore) -> None:
    first, _ = store.create_experiment(SPEC, None)
    second, _ = store.create_experiment(SPEC, None)
    urgent, _ = store.create_experiment(SPEC, None, LaunchOptions(priority=5))
    wanted = [run.id for experiment in (urgent, first, second) for run in store.runs(experiment.id)]
    assert [job.id for job in store.waiting()] == wanted
    taken = []
    while job := store.claim("worker", "host", lambda waiting: waiting[0] if waiting else None):
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
    store: JobStore, moved: int, before: int, wanted: list[int]
) -> None:
    experiment, _ = store.create_experiment(ExperimentSpec(seeds=(1, 2)), None)
    ids = [run.id for run in store.runs(experiment.id)]
    store.reorder(ids[moved], before=ids[before])
    assert [job.id for job in store.waiting()] == [ids[place] for place in wanted]
    later, _ = store.create_experiment(SPEC, None)
    assert [job.experiment_id for job in store.waiting()][4:] == [later.id] * 2, "who comes later waits behind"


def test_reordering_never_runs_out_of_places(store: JobStore, run_ids: list[str]) -> None:
    store.create_experiment(SPEC, None)
    for _ in range(40):
        last, second = store.waiting()[-1], store.waiting()[1]
        store.reorder(last.id, before=second.id)
        assert store.waiting()[1].id == last.id


def test_another_priority_and_the_priority_of_a_place(store: JobStore, run_ids: list[str]) -> None:
    sft, gift = run_ids
    assert store.reorder(gift, priority=2).priority == 2
    assert [job.id for job in store.waiting()] == [gift, sft]
    assert store.reorder(sft, before=gift).priority == 2
    assert [job.id for job in store.waiting()] == [sft, gift]


def test_only_what_waits_has_a_place(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    running, queued = run_ids
    claim(running)
    for moved, before in ((running, queued), (queued, running)):
        with pytest.raises(ConflictError, match="SFT does not wait any more"):
            store.reorder(moved, before=before)
    with pytest.raises(NotFoundError):
        store.reorder("nope", priority=1)


def test_a_paused_queue_gives_nothing_away_and_what_runs_goes_on(
    store: JobStore, run_ids: list[str], claim: Claim
) -> None:
    running = claim(run_ids[0])
    assert not store.paused
    store.set_paused(True, "admin")
    assert store.paused
    assert store.claim("worker", "host", lambda waiting: waiting[0]) is None
    assert store.beat(running.id, running.owner or "") is not None
    assert store.end(running.id, running.owner or "", JobState.FINISHED, "finished")
    store.set_paused(False, "admin")
    assert claim(run_ids[1]).state == JobState.RUNNING


@pytest.mark.parametrize("stops", [False, True])
def test_a_failure_stops_those_that_wait_where_the_experiment_says_so(
    store: JobStore, claim: Claim, stops: bool
) -> None:
    spec = ExperimentSpec(seeds=(1, 2))
    experiment, _ = store.create_experiment(spec, None, LaunchOptions(stop_on_failure=stops))
    bystander, _ = store.create_experiment(SPEC, None)
    first, _ = (claim(run.id) for run in store.runs(experiment.id)[:2])
    store.end(first.id, first.owner or "", JobState.FAILED, "data", failure={"code": "data", "message": "Row 3."})
    left = "stopped" if stops else "queued"
    assert [run.state for run in store.runs(experiment.id)] == ["failed", "running", left, left]
    assert [run.state for run in store.runs(bystander.id)] == ["queued", "queued"]
    causes = [move.cause for move in store.transitions() if move.after == JobState.STOPPED]
    assert causes == [f"{first.label} failed"] * (2 if stops else 0)


def test_only_what_has_ended_and_is_not_pinned_is_removed(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    job = claim(run_ids[0])
    store.beat(job.id, job.owner or "", [MetricLine(number=1, step=1, time=1.0, values={"loss": 1.0})])
    for waiting_or_running in run_ids:
        with pytest.raises(ConflictError, match=r"queued|running"):
            store.remove(waiting_or_running)
    store.end(job.id, job.owner or "", JobState.FINISHED, "finished")
    assert store.pin(job.id, True).pinned
    with pytest.raises(ConflictError, match="pinned"):
        store.remove(job.id)
    store.pin(job.id, False)
    store.remove(job.id)
    with pytest.raises(NotFoundError):
        store.job(job.id)
    assert store.metrics(None, after=0) == []
    assert {move.job_id for move in store.transitions()} == {run_ids[1]}


def test_jobs_are_narrowed_and_read_page_by_page(store: JobStore, run_ids: list[str], claim: Claim) -> None:
    later, _ = store.create_experiment(SPEC, None, by="someone")
    store.add_job(side_job("looked at 100%"))
    claim(run_ids[0])
    found = {
        JobFilter(): 5,
        JobFilter(kind=JobKind.INSPECT): 1,
        JobFilter(kind=JobKind.TRAIN, state=JobState.QUEUED): 3,
        JobFilter(experiment=later.id): 2,
        JobFilter(created_by="someone"): 2,
        JobFilter(text="gift"): 2,
        JobFilter(text="0%"): 1,
        JobFilter(text="_"): 0,
    }
    assert {wanted: len(store.jobs(wanted)) for wanted in found} == found
    everything, read = store.jobs(), list[Job]()
    while page := store.jobs(limit=2, after=(read[-1].created, read[-1].position, read[-1].id) if read else None):
        read += page
    assert [job.id for job in read] == [job.id for job in everything]


def test_the_same_data_set_twice_is_one(store: JobStore) -> None:
    for _ in range(2):
        stored = store.add_dataset(Dataset(id="ds_1", name="a.csv", suffix=".csv", bytes=3, rows=1))
        assert stored.name == "a.csv"
    assert [dataset.id for dataset in store.datasets()] == ["ds_1"]
    assert store.dataset("ds_2") is None
