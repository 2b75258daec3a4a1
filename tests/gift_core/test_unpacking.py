"""What a file unpacks to is bounded while it is read, whatever the file says of itself: measured in a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gift_core.data.files import read_examples
from gift_core.data.limits import MOST_UNPACKED
from gift_core.data.unpacked import TooMuchUnpackedError, Unpacked
from gift_core.errors import DataError
from tests import bombs

_ROOT = Path(__file__).parents[2]
_MEGABYTE = 2**20
# What the programs take before any file is read, with room to spare.
_PROGRAM = 120
_READ = """
import sys
from pathlib import Path
from gift_core.data.checking import summary_of
from gift_core.errors import GiftError
try:
    found = summary_of([Path(sys.argv[1])], needs_layout=False, most_bytes=int(sys.argv[2]))
    print("rows:", found.rows)
except GiftError as error:
    print(error)
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak) // 1024)
"""


def read_apart(path: Path, most_bytes: int = MOST_UNPACKED) -> tuple[str, int]:
    """What reading the file says, and the megabytes that the process had at the most."""
    command = [sys.executable, "-c", _READ, str(path), str(most_bytes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environment, check=True)
    *said, peak = done.stdout.splitlines()
    return "\n".join(said), int(peak)


Make = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("name", "make", "said", "megabytes"),
    [
        # Of the 60 MB that may be unpacked, the examples that were read when the limit came, twice while they are made.
        ("dictionary.parquet", lambda path: bombs.repeated_text(path, 100_000), "more than 60 MB once", 120),
        ("few-rows.parquet", lambda path: bombs.repeated_text(path, 400), "more than 60 MB once", 120),
        ("packed.parquet", lambda path: bombs.packed_pages(path, 25), "more than 60 MB once", 500),
        ("continued.parquet", lambda path: bombs.continued_text(path, 60), "more than 60 MB once", 250),
        ("wide.parquet", lambda path: bombs.wide_values(path, 200), "more than 60 MB once", 120),
        ("lists.parquet", lambda path: bombs.repeated_in_lists(path, 100, 1000), "more than 60 MB once", 120),
        ("empty-lists.parquet", lambda path: bombs.empty_lists(path, 2, 1_300_000), "takes 20,80", 200),
        ("lists.jsonl", lambda path: bombs.empty_lists(path, 2, 5_200_000), "more than 1,000,000 values", 120),
        ("lists.json", lambda path: bombs.empty_lists(path, 2, 5_200_000), "more than 1,000,000 values", 120),
        ("record.csv", lambda path: bombs.many_cells(path, 3_000_000), "more than 4,000,000 characters", 120),
        ("field.csv", lambda path: bombs.long_field(path, 20_000_000), "field larger than field limit", 60),
        # 230 bytes a row were 500.
        ("rows.jsonl", lambda path: bombs.short_rows(path, 100_000), "rows: 100000", 70),
        ("rows.csv", lambda path: bombs.short_rows(path, 100_000), "rows: 100000", 70),
    ],
)
def test_a_small_file_never_takes_much_memory(tmp_path: Path, name: str, make: Make, said: str, megabytes: int) -> None:
    path = make(tmp_path / name)
    found, peak = read_apart(path, 60 * _MEGABYTE)
    assert said in found
    assert peak < _PROGRAM + megabytes, f"{path.stat().st_size:,} bytes took {peak} MB"


def test_a_row_of_too_much_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = bombs.repeated_in_lists(tmp_path / "d.parquet", rows=2, each=5)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        (f"row {row}", "The row takes 19,995,130 bytes once it is unpacked; the most is 16,000,000.") for row in (1, 2)
    ]
    assert "columns that are not learned from" in caught.value.problems[0].remedy
    kept = read_examples(bombs.repeated_in_lists(tmp_path / "e.parquet", rows=2, each=3))
    assert [example.prompt for example in kept.examples] == ["p", "p"]


def test_many_columns_of_many_rows_are_refused_by_what_they_claim(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "d.parquet"
    zeros = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 300_000, pyarrow.int32()), pyarrow.array([0]))
    parquet.write_table(pyarrow.table({f"c{number}": zeros for number in range(900)}), path)
    said, peak = read_apart(path)
    assert "bytes in one group of rows, unpacked; the most is 1,073,741,824" in said
    assert peak < _PROGRAM + 60


def test_the_texts_of_examples_count_as_they_lie_in_memory(tmp_path: Path) -> None:
    # One character beyond the first 65,536 makes all others of its text four bytes wide.
    row = '{"prompt": "%s", "response": "r"}\n'
    path = tmp_path / "d.jsonl"
    path.write_text(row % ("a" * 1_000_000) * 4)
    assert read_apart(path, 5 * _MEGABYTE)[0] == "rows: 4"
    path.write_text(row % ("\N{GRINNING FACE}" + "a" * 1_000_000) * 4)
    said, _ = read_apart(path, 5 * _MEGABYTE)
    assert said.startswith("data.source.dataset: The rows take more than 5 MB once they are unpacked.")


def test_the_error_names_the_limit_and_what_to_do() -> None:
    counted = Unpacked(2 * _MEGABYTE, "data.source.dataset")
    counted.add(2 * _MEGABYTE)
    with pytest.raises(TooMuchUnpackedError) as caught:
        counted.add(1)
    [problem] = caught.value.problems
    assert problem.message == "The rows take more than 2 MB once they are unpacked."
    assert problem.remedy.endswith("On the command line, `gift train` takes files of up to 4,096 MB.")
    with pytest.raises(TooMuchUnpackedError) as caught:
        Unpacked().add(MOST_UNPACKED + 1)
    assert "command line" not in caught.value.problems[0].remedy
