import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gift_core.data.files import read_examples
from gift_core.errors import DataError
from workers.database import Database
from workers.dataset_records import DatasetRecords
from workers.datasets import DatasetStore, TooLargeError
from workers.reading.documents import Bounds
from workers.reading.readers import Readers
from workers.records import Dataset
from workers.remote_artefacts import RemoteArtefacts
from workers.settings import Settings, job_environment
from workers.store import NotFoundError
from workers.studio import Studio

SHARED = Path(__file__).parents[3] / "shared" / "data"
GOOD = b'{"prompt": "p", "response": "r"}\n{"prompt": "q", "response": "s"}\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DatasetStore]:
    database = Database.in_file(tmp_path / "studio.sqlite3")
    readers = Readers(Bounds.for_files_of(5 * 2**20), lambda: job_environment(threads=1))
    yield DatasetStore(tmp_path / "datasets", DatasetRecords(database), 5 * 2**20, readers)
    readers.close()
    database.close()


def receive(store: DatasetStore, name: str, *chunks: bytes) -> Dataset:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(store.receive(name, stream()))


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "datasets").iterdir())


def test_an_upload_is_kept_under_its_fingerprint(store: DatasetStore, tmp_path: Path) -> None:
    dataset = receive(store, "mine.JSONL", GOOD[:10], GOOD[10:])
    assert (dataset.name, dataset.suffix, dataset.rows, dataset.bytes) == (
        "mine.JSONL",
        ".jsonl",
        2,
        len(GOOD),
    )
    assert files(tmp_path) == [f"{dataset.id}.jsonl"]
    assert store.path(dataset.id).read_bytes() == GOOD
    assert [known.id for known in store.list()] == [store.get(dataset.id).id] == [dataset.id]


def test_the_same_file_twice_is_one_data_set(store: DatasetStore, tmp_path: Path) -> None:
    first, second = receive(store, "a.jsonl", GOOD), receive(store, "b.jsonl", *(bytes([b]) for b in GOOD))
    assert first.id == second.id
    assert second.name == "a.jsonl"
    assert len(files(tmp_path)) == len(store.list()) == 1


def test_the_same_bytes_of_another_kind_are_another_data_set(store: DatasetStore) -> None:
    rows = b'[{"prompt": "p", "response": "r"}]'
    as_array = receive(store, "a.json", rows)
    with pytest.raises(DataError, match=r"The file is a JSON array, though it is named \.jsonl"):
        receive(store, "a.jsonl", rows)
    assert store.path(as_array.id).suffix == ".json"


def test_an_upload_over_the_limit_stops_at_once(store: DatasetStore, tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield b"x" * 2**20

    with pytest.raises(TooLargeError) as caught:
        asyncio.run(store.receive("big.jsonl", endless()))
    assert caught.value.code == "too_large"
    assert caught.value.problems[0].message == "big.jsonl is larger than the 5 MB limit."
    assert caught.value.problems[0].remedy
    assert sent == 6 * 2**20
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty."),
        (b"\x89PNG\r\n", "is not UTF-8 text"),
        (GOOD + b'{"prompt": "p"}', "row 3: The response"),
    ],
)
def test_nothing_remains_of_an_unusable_upload(
    store: DatasetStore, tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        receive(store, "bad.jsonl", content)
    assert files(tmp_path) == []
    assert store.list() == []


def test_nothing_remains_when_the_sender_goes_away(store: DatasetStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield GOOD
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(store.receive("a.jsonl", broken()))
    assert files(tmp_path) == []
    assert store.list() == []


@pytest.mark.parametrize("name", ["", "data", "data.xlsx", "data.jsonl.exe", ".jsonl", "a/b.jsonl/c"])
def test_other_kinds_of_file_are_refused_before_a_byte_is_read(store: DatasetStore, tmp_path: Path, name: str) -> None:
    async def untouched() -> AsyncIterator[bytes]:
        pytest.fail("the upload was read")
        yield b""

    with pytest.raises(DataError) as caught:
        asyncio.run(store.receive(name, untouched()))
    assert ".jsonl, .ndjson, .json, .csv" in caught.value.problems[0].remedy
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("../../etc/passwd.jsonl", "passwd.jsonl"),
        ("C:\\data\\mine.jsonl", "mine.jsonl"),
        ("a\x00b\n\x1b[31m\u202e.jsonl", "ab [31m.jsonl"),
        ("x" * 500 + ".jsonl", "x" * 120),
    ],
)
def test_the_name_is_only_a_label(store: DatasetStore, tmp_path: Path, name: str, label: str) -> None:
    dataset = receive(store, name, GOOD)
    assert dataset.name == label
    assert files(tmp_path) == [f"{dataset.id}.jsonl"]


@pytest.mark.parametrize("dataset_id", ["ds_0000000000000000", "", "../studio.sqlite3", "/etc/passwd"])
def test_an_unknown_data_set_has_no_path(store: DatasetStore, dataset_id: str) -> None:
    with pytest.raises(DataError, match="Unknown data set") as caught:
        store.path(dataset_id)
    assert caught.value.problems[0].field == "data.source.dataset"
    assert caught.value.problems[0].remedy


@pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not beside the repository")
def test_real_gsm8k_rows_are_accepted(store: DatasetStore) -> None:
    content = (SHARED / "gsm8k_train.jsonl").read_bytes()
    dataset = receive(store, "gsm8k.jsonl", *(content[i : i + 65536] for i in range(0, len(content), 65536)))
    assert dataset.rows == len(read_examples(store.path(dataset.id)).examples) == 7473


@pytest.fixture(params=["file", "s3"])
def two_hosts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Studio, Studio, str]]:
    """Two studios with a folder each, one store, and one place for files."""
    url = f"file://{tmp_path}/shared" if request.param == "file" else request.getfixturevalue("s3_server").url
    places = {"store_url": f"sqlite:///{tmp_path}/store.sqlite3", "artefacts_url": url}
    first, second = (Studio(Settings(data_dir=tmp_path / host, **places)) for host in ("first", "second"))
    yield first, second, url
    first.close()
    second.close()


def test_a_file_comes_to_the_host_that_is_asked_for_it_and_goes_with_its_data_set(
    two_hosts: tuple[Studio, Studio, str],
) -> None:
    first, second, url = two_hosts
    dataset = receive(first.datasets, "a.jsonl", GOOD)
    assert second.datasets.path(dataset.id).read_bytes() == GOOD
    second.datasets.delete(dataset.id)
    assert RemoteArtefacts(url).contents(f"datasets/{dataset.id}") is None
    assert not list(second.data.rglob(f"{dataset.id}*"))
    with pytest.raises(NotFoundError):
        first.datasets.find(dataset.id)
    assert receive(first.datasets, "a.jsonl", GOOD).id == dataset.id
    assert second.datasets.path(dataset.id).read_bytes() == GOOD


def test_a_file_that_is_nowhere_is_said_to_be(store: DatasetStore) -> None:
    dataset = receive(store, "a.jsonl", GOOD)
    store.path(dataset.id).unlink()
    with pytest.raises(DataError, match=r"a\.jsonl is not here.*Upload it again"):
        store.path(dataset.id)
    receive(store, "a.jsonl", GOOD)
    assert store.path(dataset.id).read_bytes() == GOOD
