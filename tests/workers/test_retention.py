"""Room on the disk: what goes when there is too little, in which order, what never goes, and what is half written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col

from gift_core.spec import ExperimentSpec
from tests import forked
from tests.stopwatch import stopwatch
from workers.disk import DiskFullError, FileSizes, check_quota, folder_bytes
from workers.housekeeping import Chore, Housekeeping, alone_in
from workers.kinds import KINDS
from workers.leftovers import clear_leftovers
from workers.recorded import EXPERIMENT_ID, install
from workers.records import Job, JobKind, JobState
from workers.retention import Limits, Retention
from workers.settings import Settings
from workers.store import ConflictError, JobStore
from workers.studio import Studio

DAY = 24 * 3600


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    opened = Studio(Settings(data_dir=tmp_path / "data", embedded_worker=False, disk_floor_gb=0))
    yield opened
    opened.close()


Ended = Callable[..., Job]


@pytest.fixture
def ended(studio: Studio) -> Ended:
    """A job that ended, with files: `size` bytes of results and `trainer` bytes to resume from."""

    def make(
        identity: str,
        kind: JobKind = JobKind.TRAIN,
        state: JobState = JobState.FINISHED,
        *,
        size: int = 1000,
        trainer: int = 0,
        days_ago: float = 0.0,
        **fields: object,
    ) -> Job:
        times = {"ended": time.time() - days_ago * DAY, "created": time.time() - days_ago * DAY}
        job = Job(id=identity, kind=kind, label=identity, spec={}, state=state, attempt=1, result={}, **times, **fields)
        with studio.store.database.write() as session:
            session.add(job)
        write(files_of(studio, identity, kind) / "checkpoint" / "weights", size)
        write(files_of(studio, identity, kind) / "spec.yaml", 10)
        write(files_of(studio, identity, kind) / "job.log", 10)
        if trainer:
            write(files_of(studio, identity, kind) / "trainer" / "checkpoint-4" / "weights", trainer)
        return job

    return make


def files_of(studio: Studio, identity: str, kind: JobKind = JobKind.TRAIN) -> Path:
    return studio.data / KINDS[kind].folder / identity


def write(path: Path, size: int, days_ago: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - days_ago * DAY,) * 2)


def retain(studio: Studio, *, over: int | None = None, days: float | None = None) -> None:
    """Look once, with a quota that the folder is `over`."""
    quota = None if over is None else studio.sizes.measure() - over
    Retention(studio.store.database, studio.sharing, studio.trace_files, studio.sizes, Limits(quota, days)).look()


def gone(studio: Studio) -> set[str]:
    return {job.id for job in studio.store.jobs() if job.files_removed is not None}


def test_what_can_be_made_again_goes_before_runs_and_the_oldest_first(studio: Studio, ended: Ended) -> None:
    ended("run_old", trainer=500, days_ago=9)
    ended("ev_old", JobKind.EVALUATE, days_ago=8)
    ended("run_new", days_ago=1)
    ended("di_new", JobKind.INSPECT, days_ago=2)
    write(studio.trace_files / "tr_1.json.gz", 800, days_ago=3)
    seen = []
    # Each time a little more: what is freed is in whole files.
    for _ in range(6):
        retain(studio, over=1)
        folders = [folder_bytes(studio.data / name) for name in ("traces", "inspections", "evaluations")]
        seen.append((folder_bytes(files_of(studio, "run_old") / "trainer"), *folders, frozenset(gone(studio))))
    assert [(trainer, traces) for trainer, traces, *_ in seen[:2]] == [(0, 800), (0, 0)]
    assert [sorted(found) for *_, found in seen] == [
        [],
        [],
        ["di_new"],
        ["di_new", "run_old"],
        ["di_new", "ev_old", "run_old"],
        ["di_new", "ev_old", "run_new", "run_old"],
    ]


def test_the_record_the_settings_and_the_log_stay_and_say_what_happened(studio: Studio, ended: Ended) -> None:
    ended("run_1")
    retain(studio, over=1)
    job = studio.store.job("run_1")
    assert (job.state, job.files_removed) == (JobState.FINISHED, pytest.approx(time.time(), abs=60))
    assert sorted(path.name for path in files_of(studio, "run_1").iterdir()) == ["job.log", "spec.yaml"]
    (note,) = studio.store.transitions(job_id="run_1")
    assert (note.before, note.after, note.owner) == ("finished", "finished", "retention")
    assert note.cause.startswith("its files were removed: the data folder was above")
    # It is not offered any more, and is said to be gone where it is named.
    assert studio.find_checkpoint("run_1") is None
    # Nothing is removed twice.
    retain(studio, over=1)
    assert len(studio.store.transitions(job_id="run_1")) == 1


def test_what_is_needed_is_never_removed(studio: Studio, ended: Ended) -> None:
    ended("run_pinned", pinned=True)
    ended("run_queued", state=JobState.QUEUED)
    ended("run_running", state=JobState.RUNNING)
    ended("run_used")
    ended("run_exported")
    studio.store.add_job(Job(id="ev_1", kind=JobKind.EVALUATE, label="", spec={"checkpoint": "run_used"}))
    studio.store.add_job(Job(id="di_1", kind=JobKind.INSPECT, label="", spec={"checkpoints": ["tiny", "run_exported"]}))
    install(studio.store, studio.data / "runs")
    before = folder_bytes(studio.data / "runs")
    retain(studio, over=10**12, days=1e-9)
    assert gone(studio) == set()
    assert folder_bytes(studio.data / "runs") == before
    assert studio.store.runs(EXPERIMENT_ID)
    # As soon as nothing needs it, it may go.
    studio.store.request_stop("ev_1", "me")
    retain(studio, over=1)
    assert gone(studio) == {"run_used"}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(
        st.tuples(st.sampled_from(list(JobKind)), st.sampled_from(list(JobState)), st.booleans(), st.booleans()),
        max_size=6,
    ),
    over=st.integers(1, 8000),
)
def test_whatever_there_is_only_what_may_go_goes_and_as_little_as_suffices(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[JobKind, JobState, bool, bool]], over: int
) -> None:
    studio = Studio(Settings(data_dir=tmp_path_factory.mktemp("data"), embedded_worker=False))
    used = []
    for number, (kind, state, pinned, is_used) in enumerate(jobs):
        job = Job(id=f"j{number}", kind=kind, label="", spec={}, state=state, pinned=pinned, ended=float(number))
        with studio.store.database.write() as session:
            session.add(job)
        write(studio.data / KINDS[kind].folder / job.id / "weights", 1000)
        used += [job.id] if is_used else []
    studio.store.add_job(Job(id="open", kind=JobKind.EVALUATE, label="", spec={"of": used}))
    free = {job.id for job in studio.store.jobs() if job.state not in ("queued", "running", "stopping")}
    may_go = {job.id for job in studio.store.jobs() if job.id in free and not job.pinned} - set(used)
    retain(studio, over=over)
    assert gone(studio) <= may_go
    assert len(gone(studio)) == min(len(may_go), -(-over // 1000))
    studio.close()


def test_old_files_go_without_a_quota(studio: Studio, ended: Ended) -> None:
    ended("run_old", days_ago=31)
    ended("run_new", days_ago=29)
    ended("run_pinned", days_ago=99, pinned=True)
    retain(studio, days=30)
    assert gone(studio) == {"run_old"}
    assert "more than 30 days ago" in studio.store.transitions(job_id="run_old")[0].cause


def test_a_run_without_its_files_can_be_trained_again_but_not_exported(studio: Studio, ended: Ended) -> None:
    from workers.models import ModelShelf
    from workers.orders import ExportOrder
    from workers.outputs import OutputService

    ended("run_done")
    ended("run_failed", state=JobState.FAILED)
    retain(studio, over=10**9)
    assert gone(studio) == {"run_done", "run_failed"}
    with pytest.raises(ConflictError, match="were removed"):
        OutputService(studio, ModelShelf(studio, 1)).export(ExportOrder(run="run_done"))
    assert studio.resume("run_failed", "me").files_removed is None


def test_what_was_answered_is_made_again_when_its_files_are_gone(studio: Studio, ended: Ended) -> None:
    ended("ev_1", JobKind.EVALUATE)
    retain(studio, over=1)
    asked = studio.submit(Job(id="ev_1", kind=JobKind.EVALUATE, label="again", spec={}))
    assert (asked.state, asked.files_removed) == (JobState.QUEUED, None)


def test_what_other_hosts_see_goes_too_and_takes_its_room_once(tmp_path: Path) -> None:
    place = tmp_path / "bucket"
    here = {"embedded_worker": False, "disk_floor_gb": 0}
    studio = Studio(Settings(data_dir=tmp_path / "data", artefacts_url=SecretStr(f"file://{place}"), **here))
    job = Job(id="run_1", kind=JobKind.TRAIN, label="", spec={}, state=JobState.FINISHED, result={}, ended=1.0)
    with studio.store.database.write() as session:
        session.add(job)
    write(files_of(studio, "run_1") / "checkpoint" / "weights", 100_000)
    write(files_of(studio, "run_1") / "job.log", 10)
    studio.sharing.keep(job)
    studio.sizes.measure()
    # The copy that is shared is the same file.
    assert studio.sizes.last["runs"] == 100_010
    assert studio.sizes.last["shared"] < 1000
    assert folder_bytes(place) > 100_000
    retain(studio, over=50_000)
    assert gone(studio) == {"run_1"}
    assert studio.sizes.last["runs"] == 10
    assert studio.sizes.last["shared"] < 1000
    assert folder_bytes(place) < 10_000
    studio.close()


# Sizes and limits


def test_sizes_are_right_whatever_changes_between_two_looks(tmp_path: Path) -> None:
    sizes = FileSizes(tmp_path)
    write(tmp_path / "studio.sqlite3", 7)
    write(tmp_path / "runs" / "a" / "deep" / "er" / "file", 100)
    write(tmp_path / "runs" / "b" / "file", 10)
    (tmp_path / "runs" / "loop").symlink_to(tmp_path)
    link = (tmp_path / "runs" / "loop").lstat().st_size
    assert sizes.measure() == 117 + link
    # Deep inside of what is being written to, and in what is not.
    write(tmp_path / "runs" / "a" / "deep" / "er" / "more", 1000)
    write(tmp_path / "runs" / "b" / "more", 1)
    assert sizes.measure(busy={"a"}) == 1118 + link
    write(tmp_path / "runs" / "a" / "deep" / "er" / "last", 5)
    assert sizes.measure() == 1123 + link
    assert sizes.last == {"store": 7, "runs": 1116 + link}


def test_measuring_again_does_not_look_into_what_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(tmp_path / "runs" / f"r{number}" / "checkpoint" / "file", 10)
    sizes = FileSizes(tmp_path)
    sizes.measure()
    looked: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (looked.append(path), scandir(path))[1])
    assert sizes.measure(busy={"r3"}) == 200
    assert len(looked) == 4  # The data folder, `runs`, and the one that is busy with its checkpoint.


def test_nothing_is_taken_on_above_the_quota_until_somebody_makes_room(tmp_path: Path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, embedded_worker=False, disk_floor_gb=0, disk_quota_gb=0.001))
    write(tmp_path / "runs" / "r" / "weights", 1_000_000)
    studio.sizes.measure()
    with pytest.raises(DiskFullError, match=r"of the 0\.0 GB") as refused:
        studio.launch(ExperimentSpec(), None)
    assert refused.value.problems[0].remedy
    assert studio.store.jobs() == []
    (tmp_path / "runs" / "r" / "weights").unlink()
    check_quota(studio.sizes, 1_000_000)
    studio.close()


# What was left half written


def test_only_what_belongs_to_nobody_is_cleared(studio: Studio, ended: Ended) -> None:
    dead, alive = forked.dead(), os.getppid()
    ended("run_done")
    ended("run_busy", state=JobState.RUNNING)
    runs = studio.data / "runs"
    stays = [
        runs / "run_done" / "checkpoint" / "weights",
        runs / "run_done" / f".checkpoint.{alive}" / "half",
        runs / "run_done" / ".hidden",
        runs / "run_busy" / f".checkpoint.{dead}" / "half",
        runs / "run_busy" / "lease-1",
        studio.data / "datasets" / ".partial-new.jsonl",
        studio.data / "datasets" / "ds_1.jsonl",
    ]
    goes = [
        runs / "run_done" / f".checkpoint.{dead}" / "half",
        runs / "run_done" / f".spec.yaml.{dead}",
        runs / "run_done" / "lease-1",
        runs / f".run_copied.{dead}" / "half",
        studio.data / "exports" / "ex_1" / f".model.{dead}" / "half",
        studio.data / "shared" / "runs" / f".run_done.{dead}" / "half",
    ]
    old = studio.data / "datasets" / ".partial-old.jsonl"
    for path in [*stays, *goes]:
        write(path, 1)
    write(old, 1, days_ago=1)
    assert clear_leftovers(studio.data, studio.store.database) == 7
    assert [path for path in stays if not path.exists()] == []
    assert [path for path in [*goes, old] if path.exists()] == []
    assert clear_leftovers(studio.data, studio.store.database) == 0


def test_a_lease_that_is_new_by_the_time_it_would_go_stays(
    studio: Studio, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes the job between the look at the folders and the removal."""
    ended("run_1", state=JobState.FAILED)
    lease = files_of(studio, "run_1") / "lease-1"
    write(lease, 1)
    begin = studio.store.database.write

    def taken_first(*_: object) -> object:
        monkeypatch.undo()
        with begin() as session:
            session.exec(update(Job).where(col(Job.id) == "run_1").values(state=JobState.RUNNING))
        return begin()

    monkeypatch.setattr(studio.store.database, "write", taken_first)
    assert clear_leftovers(studio.data, studio.store.database) == 0
    assert lease.exists()


# Chores


def test_one_process_clears_up_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path) as first, alone_in(tmp_path) as second:
        assert (first, second) == (True, False)
    with alone_in(tmp_path) as again:
        assert again


def test_a_chore_that_fails_is_tried_again_and_stopping_does_not_wait_for_the_next() -> None:
    import threading

    done, often = threading.Event(), []

    def fails_once() -> None:
        often.append(1)
        if len(often) == 1:
            raise RuntimeError("not now")
        done.set()

    housekeeping = Housekeeping([Chore("fails once", 0.01, fails_once), Chore("rare", 3600, lambda: None)])
    housekeeping.start()
    assert done.wait(60)
    with stopwatch() as seconds:
        housekeeping.stop()
        assert seconds() < 1


def test_a_new_worker_clears_up_at_once(studio: Studio, ended: Ended) -> None:
    import threading

    ended("run_1")
    lease = files_of(studio, "run_1") / "lease-1"
    write(lease, 1)
    worker = studio.worker()
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while lease.exists() or not studio.sizes.last:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
    finally:
        worker.stop()
    assert studio.sizes.last["runs"] >= 1000
    store: JobStore = studio.store
    assert store.job("run_1").files_removed is None
