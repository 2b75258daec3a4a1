"""`gift check-data` says of a file what the reader says, and names it as it was named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gift_core.data.checking import all_problems, summary_of
from tests.gift_core.conftest import Here

BROUGHT = sorted((Path(__file__).parents[1] / "data" / "brought").iterdir())


@pytest.mark.parametrize("path", BROUGHT, ids=lambda path: path.name)
def test_every_file_that_was_brought(gift_here: Here, path: Path) -> None:
    code, said, _ = gift_here("check-data", str(path), "--json")
    problems = list(all_problems([path]))
    if problems:
        assert (code, said.splitlines()) == (1, [str(problem) for problem in problems])
    else:
        assert (code, json.loads(said)["fingerprint"]) == (0, summary_of([path]).fingerprint)


def test_a_file_is_named_as_the_user_named_it(gift_here: Here, tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    code, said, _ = gift_here("check-data", "mine.parquet")
    assert code == 1
    assert said.startswith("data.source.dataset: mine.parquet is not a Parquet file that can be read")
    code, said, _ = gift_here("check-data", "mine.tsv")
    assert (code, "Name it .csv" in said) == (1, True)
