"""Traces: what is written down, kept in files, gone on from, and compared."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gift_core.comparison import compare
from gift_core.data.tokenisation import Encoder
from gift_core.errors import SpecError
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise
from gift_core.spec import SamplingSpec
from gift_core.tasks import sudoku
from gift_core.trace import Edit, Frame, Trace, TraceEnd, TraceStart, load_trace, save_trace
from gift_core.tracing import Beginning, branch, infill, trace, trace_steps

PROMPT = sudoku.generate(0, "standard", 0, 1)[1][0].prompt
SAMPLING = SamplingSpec()


def make(
    model: DiffusionModel, prompt: str = PROMPT, beginning: Beginning | None = None, seed: int = 0, **changes: Any
) -> Trace:
    sampling = SamplingSpec.parse(SAMPLING.model_dump() | changes)
    return trace(model, prompt, sampling, seed, checkpoint="tiny", label="Base", beginning=beginning)


def stable(recorded: Trace) -> dict[str, Any]:
    return recorded.model_dump(exclude={"end": {"seconds"}})


def test_a_trace_holds_what_denoising_did(tiny: DiffusionModel) -> None:
    ids = denoise(tiny, [Encoder(tiny.tokenizer).prompt(PROMPT)], SAMPLING)[0]
    recorded = make(tiny)
    assert recorded.tokens_at(len(recorded.frames)) == dict(enumerate(ids))
    assert [token.id for token in recorded.end.response] == ids
    assert recorded.end.outcome == "finished"
    assert [frame.step for frame in recorded.frames] == list(range(SAMPLING.steps))
    for frame in recorded.frames:
        assert [top[0] for top in frame.top] == frame.tokens
        assert frame.confidence == pytest.approx([each[0] for each in frame.top_probability], abs=1e-4)


def test_every_token_is_told_once_and_before_it_is_referred_to(tiny: DiffusionModel) -> None:
    told: set[int] = set()
    for frame in make(tiny).frames:
        new = {token.id for token in frame.new_tokens}
        assert not new & told
        told |= new
        assert {*frame.tokens, *(token for top in frame.top for token in top)} <= told


def test_uncertainty_ends_where_a_position_is_committed(tiny: DiffusionModel) -> None:
    recorded = make(tiny)
    entropies, best = recorded.entropies(), recorded.best()
    assert 0 < entropies[0].max() <= math.log(tiny.vocabulary_size)
    for cursor in range(1, len(recorded.frames)):
        standing = list(recorded.tokens_at(cursor))
        assert not entropies[cursor, standing].any()
        assert (best[cursor, standing] == 1).all()


def test_the_events_are_the_trace_in_the_order_in_which_it_comes_about(tiny: DiffusionModel) -> None:
    start, *frames, end = trace_steps(tiny, PROMPT, SAMPLING, 0, checkpoint="tiny", label="Base")
    assert isinstance(start, TraceStart)
    assert isinstance(end, TraceEnd)
    recorded = make(tiny)
    assert (start, list(frames)) == (recorded.start, recorded.frames)


def test_a_sudoku_gets_a_verdict_and_another_prompt_none(tiny: DiffusionModel) -> None:
    recorded = make(tiny)
    expected = sudoku.judge(PROMPT, recorded.end.text)
    assert expected is not None
    assert recorded.end.verdict == expected.text != ""
    assert make(tiny, "Hello").end.verdict == ""


def test_two_traces_of_one_checkpoint_are_equal(tiny: DiffusionModel) -> None:
    assert stable(make(tiny, temperature=0.5)) == stable(make(tiny, temperature=0.5))


def test_an_early_stop_leaves_the_rest_masked(tiny: DiffusionModel) -> None:
    recorded = make(tiny, length=96, block_length=16, steps=96)
    assert recorded.end.outcome == "stopped early"
    standing = recorded.tokens_at(len(recorded.frames))
    left = [token for position, token in enumerate(recorded.end.response) if position not in standing]
    assert left
    assert set(left) <= {token.model_copy(update={"glyph": token.glyph}) for token in left}
    assert {token.id for token in left} == {tiny.mask_id}


def test_a_prompt_longer_than_the_context_names_the_field(tiny: DiffusionModel) -> None:
    with pytest.raises(SpecError, match="context of 1024") as caught:
        make(tiny, "9" * 1100)
    assert caught.value.problems[0].field == "prompt"


# Files


def test_a_trace_comes_back_from_its_file_and_equal_ones_are_equal_files(tiny: DiffusionModel, tmp_path: Path) -> None:
    recorded = make(tiny)
    for name in ("a", "b"):
        save_trace(recorded, tmp_path / name)
    assert load_trace(tmp_path / "a") == recorded
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    plain = tmp_path / "plain.json"
    plain.write_text(recorded.model_dump_json())
    assert load_trace(plain) == recorded
    # A few bytes a position and step, and not hundreds.
    assert (tmp_path / "a").stat().st_size < 24 * 48 * 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOF while parsing"),
        (b"{}", "start: Field required"),
        (b"\x1f\x8bnot gzip", "no trace"),
        (b'{"version": 1}', "start: Field required"),
        (gzip.compress(b" " * (65 * 2**20)), "more than 67,108,864 bytes"),
    ],
    ids=["empty", "no fields", "no gzip", "old", "bomb"],
)
def test_a_file_that_is_no_trace_is_refused_with_the_reason(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "it.json.gz"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        load_trace(path)
    assert "it.json.gz" in str(caught.value)


def test_arrays_of_another_length_are_refused(tiny: DiffusionModel, tmp_path: Path) -> None:
    recorded = make(tiny).model_dump(mode="json")
    recorded["frames"][3]["entropy"] = "AAAA"
    path = tmp_path / "it.json"
    path.write_text(json.dumps(recorded))
    with pytest.raises(SpecError, match="frame 3 has not a byte for each of 48 positions"):
        load_trace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["start"].pop("version"), "start.version: Field required"),
        (lambda data: data["frames"][0].update(positions=[47, 60]), "frame 0 commits a position that is not there"),
        (lambda data: data["frames"][1].update(positions=data["frames"][0]["positions"]), "frame 1 commits a position"),
        (lambda data: data["frames"][5].update(tokens=[700, 701]), "frame 5 refers to a token that was not told"),
        (lambda data: data["start"].update(vocabulary_size=20), "beyond the vocabulary of 20"),
        (
            lambda data: data["start"].update(standing=[{"position": 99, "token": 1, "kind": "given"}]),
            "standing token is beyond the 48 positions",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(
    tiny: DiffusionModel, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    data = make(tiny).model_dump(mode="json")
    change(data)
    path = tmp_path / "it.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SpecError, match=message):
        load_trace(path)


def test_bytes_that_were_damaged_are_refused(tiny: DiffusionModel, tmp_path: Path) -> None:
    save_trace(make(tiny), tmp_path / "it.json.gz")
    damaged = bytearray((tmp_path / "it.json.gz").read_bytes())
    damaged[200:400] = bytes(200)
    (tmp_path / "it.json.gz").write_bytes(damaged)
    with pytest.raises(SpecError, match="no trace of version 2"):
        load_trace(tmp_path / "it.json.gz")


# Infill and branches


def test_given_text_stands_from_the_beginning(tiny: DiffusionModel) -> None:
    beginning = infill(
        tiny, [Edit(position=0, text="<reasoning>Initially,"), Edit(position=30, text="3")], SAMPLING.length
    )
    recorded = make(tiny, beginning=beginning)
    vocabulary = recorded.vocabulary()
    placed = recorded.tokens_at(0)
    assert [vocabulary[placed[i]].text for i in sorted(placed)] == ["<reasoning>", "Initially", ",", "3"]
    assert recorded.end.text.startswith("<reasoning>Initially,")
    assert all(set(frame.positions).isdisjoint(placed) for frame in recorded.frames)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(position=47, text="two tokens"), "from position 47 on there are 1"),
        (Edit(position=60, text="a"), "there are 0"),
        (Edit(position=3, text=None), "There is no text"),
    ],
)
def test_an_infill_that_does_not_fit_names_the_edit(tiny: DiffusionModel, edit: Edit, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        infill(tiny, [Edit(position=0, text="a"), edit], SAMPLING.length)
    assert caught.value.problems[0].field.startswith("edits.1")


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.7, "block_length": 16}], ids=str)
def test_a_branch_without_edits_ends_as_its_trace(tiny: DiffusionModel, changes: dict[str, Any]) -> None:
    whole = make(tiny, **changes)
    for cursor in (0, 5, 11, len(whole.frames)):
        again = make(tiny, beginning=branch(whole, cursor, [], tiny, "parent"), **changes)
        assert again.frames == whole.frames[cursor:] or [frame.positions for frame in again.frames] == [
            frame.positions for frame in whole.frames[cursor:]
        ]
        assert again.end.text == whole.end.text
        found = compare(whole, again)
        assert found.divergence is None
        assert found.same_tokens == found.length


def test_a_branch_keeps_its_edits_and_fills_what_was_masked_again(tiny: DiffusionModel) -> None:
    whole = make(tiny)
    first = whole.frames[0].positions[0]
    edits = [Edit(position=3, text="9"), Edit(position=first)]
    again = make(tiny, beginning=branch(whole, 12, edits, tiny, "parent"))
    kinds = {each.position: each.kind for each in again.start.standing}
    assert kinds[3] == "edited"
    assert first not in kinds
    assert again.tokens_at(0)[3] == tiny.tokenizer.encode("9", add_special_tokens=False)[0]
    assert any(first in frame.positions for frame in again.frames)
    assert again.end.outcome == "finished"
    assert again.start.branch is not None
    assert again.start.branch.cursor == 12


def test_a_branch_of_a_branch_counts_on_from_the_first_trace(tiny: DiffusionModel) -> None:
    whole = make(tiny)
    once = make(tiny, beginning=branch(whole, 5, [], tiny, "whole"))
    twice = make(tiny, beginning=branch(once, 4, [], tiny, "once"))
    assert (once.start.played, twice.start.played) == (5, 9)
    for other in (whole, once):
        found = compare(other, twice)
        assert found.divergence is None
        differences = [each.commit_step_difference for each in found.positions]
        assert set(differences) == {0, None}
        assert found.alignments["step"][-1] == (len(other.frames), len(twice.frames))


def test_a_branch_of_a_step_that_is_not_there_is_refused(tiny: DiffusionModel) -> None:
    with pytest.raises(SpecError, match="has 24 steps"):
        branch(make(tiny), 25, [], tiny, "parent")


# Comparison


def test_a_trace_compared_with_itself_differs_nowhere(tiny: DiffusionModel) -> None:
    recorded = make(tiny)
    found = compare(recorded, recorded)
    assert found.divergence is None
    assert found.settings == []
    assert found.same_tokens == 48
    for each in found.positions:
        assert (each.commit_step_difference, each.confidence_difference, each.entropy_difference) == (0, 0, 0)
    for pairs in found.alignments.values():
        assert pairs == [(cursor, cursor) for cursor in range(25)]


def test_swapping_two_traces_turns_the_signs(tiny: DiffusionModel) -> None:
    one, other = make(tiny), make(tiny, temperature=0.9, steps=48)
    forth, back = compare(one, other), compare(other, one)
    assert forth.settings == back.settings == ["sampling.steps", "sampling.temperature"]
    assert forth.divergence == back.divergence
    assert forth.same_tokens == back.same_tokens
    for there, here in zip(forth.positions, back.positions, strict=True):
        assert there.commit_step == here.commit_step[::-1]
        assert there.commit_step_difference == -(here.commit_step_difference or 0)
    for name, pairs in forth.alignments.items():
        assert back.alignments[name] == [(left, right) for right, left in pairs]


def test_the_first_divergence_is_the_first_step_that_commits_something_else(tiny: DiffusionModel) -> None:
    one = make(tiny)
    frames = [*one.frames]
    other = 1 + frames[7].tokens[0]
    frames[7] = frames[7].model_copy(update={"tokens": [other, *frames[7].tokens[1:]]})
    found = compare(one, one.model_copy(update={"frames": frames}))
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.positions) == (8, [frames[7].positions[0]])
    assert [each.position for each in found.positions if not each.same_token] == [frames[7].positions[0]]


@pytest.mark.parametrize("alignment", ["step", "fraction", "mask_ratio"])
def test_alignments_begin_and_end_together_and_never_go_back(tiny: DiffusionModel, alignment: Any) -> None:
    short, long = make(tiny, steps=12), make(tiny, steps=48)
    pairs = compare(short, long).alignments[alignment]
    assert pairs[0] == (0, 0)
    assert pairs[-1] == (12, 48)
    assert all(b[0] >= a[0] and b[1] >= a[1] for a, b in pairwise(pairs))


def test_aligned_by_masks_both_hold_as_many(tiny: DiffusionModel) -> None:
    short, long = make(tiny, steps=12), make(tiny, steps=48)
    for left, right in compare(short, long).alignments["mask_ratio"]:
        assert abs(len(short.tokens_at(left)) - len(long.tokens_at(right))) <= 2


def test_windows_of_different_lengths_are_not_compared(tiny: DiffusionModel) -> None:
    with pytest.raises(SpecError, match="48 and 24 positions"):
        compare(make(tiny), make(tiny, length=24, block_length=24))


def test_entropy_is_in_nats_just_before_the_commit(tiny: DiffusionModel) -> None:
    one, other = make(tiny), make(tiny, seed=1, temperature=1.2)
    for each in compare(one, other).positions:
        steps = [step for step in each.commit_step if step is not None]
        values = [float(t.entropies()[s - 1, each.position]) for t, s in zip((one, other), steps, strict=True)]
        assert each.entropy_difference == pytest.approx(np.diff(values)[0])


def test_frames_are_small_documents(tiny: DiffusionModel) -> None:
    frame = make(tiny).frames[3]
    assert Frame.model_validate_json(frame.model_dump_json()) == frame
