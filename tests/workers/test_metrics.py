"""Following a file that another process is writing."""

from __future__ import annotations

from pathlib import Path

from workers.metrics import MetricsTail

FIRST = b'{"step": 1, "time": 1.0, "phase": "training", "values": {"loss": 2.5}}\n'


def test_a_torn_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.read() == []
    path.write_bytes(FIRST + FIRST[:20])
    assert [(line.number, line.values) for line in tail.read()] == [(1, {"loss": 2.5})]
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(FIRST[20:])
    assert [line.number for line in tail.read()] == [2]
    assert tail.read() == []


def test_a_line_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(FIRST + b'{"step": "?"}\n\xff\n' + FIRST)
    assert [line.number for line in MetricsTail(path).read()] == [1, 4]
