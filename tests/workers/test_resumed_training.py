"""The process of a job goes on only with what its run began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gift_core.errors import SpecError, StoppedError
from gift_core.spec import RunSpec
from workers.context import JobContext
from workers.kinds import train


def write_rows(path: Path, first: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"prompt": f"{i} and {i + 1} make", "response": str(2 * i + 1)} for i in range(first, first + 18)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_job_that_is_resumed_with_other_rows_says_so(tmp_path: Path) -> None:
    rows = tmp_path / "datasets" / "d1.jsonl"
    write_rows(rows, 0)
    spec = RunSpec().replace(
        {
            "data.source": {"kind": "file", "dataset": "d1"},
            "data.held_out": 2,
            "training.batch_size": 8,
            "training.epochs": 2,
            "training.precision": "fp32",
            "objective.method": "sft",
        }
    )
    stop = {"now": True}

    def context(resume: bool) -> JobContext:
        directory = tmp_path / "runs" / "r1"
        return JobContext(directory, tmp_path, resume, lambda _: None, lambda: stop["now"], lambda: False)

    with pytest.raises(StoppedError):
        train.run(spec, context(resume=False))
    write_rows(rows, 1)
    with pytest.raises(SpecError, match="training examples are not those of the run") as refused:
        train.run(spec, context(resume=True))
    assert {problem.field for problem in refused.value.problems} == {"data.source"}
    write_rows(rows, 0)
    stop["now"] = False
    train.run(spec, context(resume=True))
    result = json.loads((tmp_path / "runs" / "r1" / "result.json").read_text())
    assert (result["steps"], result["base"]) == (6, "tiny")
