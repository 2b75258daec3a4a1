"""Inspecting and previewing over HTTP, with the bundled model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from gift_core.documents import Token
from gift_core.spec import SamplingSpec
from ui.connection import StudioError

TOO_LONG = "1" * 1100  # Every digit is a token of its own, and the context holds 1,024.
PAIRS = [("1+1?", "2"), ("Größe?", "5 cm")]


@pytest.fixture
def sudoku(client):
    return client.examples(1)[0]


@pytest.fixture
def upload(client, tmp_path):
    """Uploads rows of which each has a question, an answer and a note."""
    path = tmp_path / "rows.jsonl"
    rows = [{"question": question, "answer": answer, "note": "-"} for question, answer in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return client.upload(path, path.name)


def refused(ask) -> StudioError:
    with pytest.raises(StudioError) as refusal:
        ask()
    assert refusal.value.status == 422
    assert all(problem.remedy for problem in refusal.value.problems)
    return refusal.value


def text_of(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens if not token.special)


def test_an_inspection_says_how_unsure_the_model_is_of_every_token(client, sudoku):
    found = client.inspect(["tiny"], sudoku.prompt, sudoku.response, power=1.5)
    assert text_of(found.prompt) == sudoku.prompt
    assert text_of(found.response) == sudoku.response
    seen = found.checkpoints[0]
    columns = (seen.entropy, seen.masking_rate, seen.relative_rate, seen.probability, seen.rank, seen.top)
    assert {len(column) for column in columns} == {len(found.response)}
    assert seen.masking_rate == pytest.approx([entropy**1.5 for entropy in seen.entropy], abs=1e-6)
    for token, rank, top in zip(found.response, seen.rank, seen.top, strict=True):
        assert rank >= len(top) or top[rank].token.id == token.id


def test_a_checkpoint_against_itself_is_identical(client, sudoku):
    one, other = client.inspect(["tiny", "tiny"], sudoku.prompt, sudoku.response).checkpoints
    assert one == other


def test_a_partial_mask_is_looked_at_beside_the_probe(client, sudoku):
    probe = client.inspect(["tiny"], sudoku.prompt, sudoku.response)
    found = client.inspect(["tiny"], sudoku.prompt, sudoku.response, masked=[9, 3, 4])
    assert probe.masked == []
    assert [place for place, masked in enumerate(found.masked) if masked] == [3, 4, 9]
    (seen,) = found.checkpoints
    assert seen.model_copy(update={"partial": None}) == probe.checkpoints[0], "a mask changes no rate"
    for place, masked in enumerate(found.masked):
        assert (seen.partial.entropy[place] is not None) == masked == bool(seen.partial.top[place])
    assert seen.partial.entropy[3] != seen.entropy[3]


@pytest.mark.parametrize(
    ("masked", "field"), [([], "masked"), ([10_000], "masked"), ([-1], "masked"), (["a"], "masked.0")]
)
def test_a_mask_that_is_none_is_named(client, sudoku, masked, field):
    error = refused(lambda: client.inspect(["tiny"], sudoku.prompt, sudoku.response, masked=masked))
    assert error.problems[0].field == field


def test_an_unknown_checkpoint_is_named(client):
    for ask in (lambda: client.inspect(["tiny", "nope"], "1", "1"), lambda: client.denoise(["nope"], "1")):
        error = refused(ask)
        assert error.problems[0].field == "checkpoints"
        assert "'nope'" in str(error)


def test_a_prompt_beyond_the_context_is_named_with_its_length(client):
    for ask in (lambda: client.inspect(["tiny"], TOO_LONG, "1"), lambda: client.denoise(["tiny"], TOO_LONG)):
        error = refused(ask)
        assert error.problems[0].field == "prompt"
        assert "1024" in str(error)


@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_response_is_named(client, response):
    assert refused(lambda: client.inspect(["tiny"], "1+1?", response)).problems[0].field == "response"


def test_a_preview_of_the_task_shows_prompt_response_and_tail(client):
    preview = client.preview({"data": {"source": {"kind": "task", "examples": 30}}}, start=28, rows=5)
    assert preview.rows == 30
    assert len(preview.examples) == 2
    for example in preview.examples:
        assert text_of(example.prompt).startswith("Solve the sudoku.\n")
        assert re.fullmatch(r"<reasoning>.+</reasoning><answer>(\d{4}\n){3}\d{4}</answer>", text_of(example.response))
        tail = example.response[len(example.response) - example.tail :]
        assert {token.text for token in tail} == {"<|eos|>"}
        assert len(example.response) == SamplingSpec().block_length
    assert 0 < preview.tail_share < 0.5


def test_a_preview_of_a_file_shows_what_will_be_learned(client, upload):
    run = {"data": {"source": {"kind": "file", "dataset": upload.id}, "eos_tail": "one"}}
    preview = client.preview(run)
    assert preview.columns == ["question", "answer", "note"]
    assert (preview.prompt_column, preview.response_column) == ("question", "answer")
    assert [(text_of(row.prompt), text_of(row.response)) for row in preview.examples] == PAIRS
    assert [row.row for row in preview.examples] == [1, 2]
    assert [row.tail for row in preview.examples] == [1, 1]
    assert preview.longest == max(len(row.prompt) + len(row.response) for row in preview.examples)
    assert preview.overlong == 0
    tight = client.preview({"data": run["data"] | {"max_length": preview.longest - 1}})
    assert 1 <= tight.overlong <= preview.rows, "rows that are too long are counted"


def test_a_preview_uses_the_columns_asked_for(client, upload):
    source = {"kind": "file", "dataset": upload.id, "prompt_column": "answer", "response_column": "note"}
    preview = client.preview({"data": {"source": source}}, start=1, rows=1)
    assert [(text_of(row.prompt), text_of(row.response)) for row in preview.examples] == [("5 cm", "-")]


def test_a_preview_with_unknown_columns_lists_those_there_are(client, upload):
    source = {"kind": "file", "dataset": upload.id, "prompt_column": "querstion", "response_column": "anwser"}
    error = refused(lambda: client.preview({"data": {"source": source}}))
    assert [problem.field for problem in error.problems] == [
        "data.source.prompt_column",
        "data.source.response_column",
    ]
    assert all('"question", "answer", "note"' in problem.message for problem in error.problems)


@pytest.mark.parametrize(
    ("run", "field"),
    [
        ({"data": {"source": {"kind": "file", "dataset": "ds_nowhere"}}}, "data.source.dataset"),
        ({"data": {"source": {"kind": "file", "dataset": "../../etc/passwd"}}}, "data.source.dataset"),
        ({"model": {"name": "/etc"}}, "model.name"),
        ({"training": {"learning_rate": "abc"}}, "run.training.learning_rate"),
    ],
)
def test_a_preview_of_what_cannot_be_trained_is_refused(client, run, field):
    assert refused(lambda: client.preview(run)).problems[0].field == field
