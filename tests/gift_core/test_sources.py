"""The held-out split: never a prompt that was trained on, whatever the file looks like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.data.examples import Example, Turn, prompt_key
from gift_core.data.sources import Split, load_split
from gift_core.data.splitting import split_by_prompt
from gift_core.data_spec import DataSpec

Rows = Sequence[tuple[str, str]]

# Few different prompts, so that most files repeat some of them.
ROWS = st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from("xyz")), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "rows.jsonl"


def split(path: Path, rows: Rows, held_out: int) -> Split:
    lines = (json.dumps({"prompt": prompt, "response": response}) for prompt, response in rows)
    path.write_text("\n".join(lines), "utf-8")
    return load_split(DataSpec.parse({"source": {"kind": "file", "dataset": str(path)}, "held_out": held_out}), Path)


def pairs(examples: Sequence[Example]) -> Counter[tuple[str, str]]:
    return Counter((example.prompt, example.response) for example in examples)


@given(rows=ROWS, held_out=st.integers(0, 80))
def test_a_split_shares_no_prompt_and_loses_no_row(path: Path, rows: Rows, held_out: int) -> None:
    found = split(path, rows, held_out)
    assert {example.prompt for example in found.training}.isdisjoint(example.prompt for example in found.held_out)
    assert sorted(example.id for example in found.training + found.held_out) == list(range(1, len(rows) + 1))
    assert all((example.prompt, example.response) == rows[example.id - 1] for example in found.training)
    assert [example.id for example in found.training] == sorted(example.id for example in found.training)
    assert found.training


# Spaced and capitalised in other ways, and asked under another system prompt.
VARIANTS = st.lists(
    st.tuples(
        st.sampled_from(["a b", "A  b", " a\nb ", "c", "C", "d", "e"]),
        st.sampled_from("xy"),
        st.sampled_from([(), (Turn("system", "s"),), (Turn("user", "q"), Turn("assistant", "r"))]),
    ),
    min_size=1,
    max_size=80,
)


@given(rows=VARIANTS, held_out=st.integers(0, 8))
def test_what_asks_the_same_never_straddles_the_split(
    rows: list[tuple[str, str, tuple[Turn, ...]]], held_out: int
) -> None:
    examples = [Example(number, *row) for number, row in enumerate(rows, 1)]
    found = split_by_prompt(examples, held_out)
    assert {prompt_key(example) for example in found.training}.isdisjoint(map(prompt_key, found.held_out))
    assert sorted(found.training + found.held_out, key=lambda example: example.id) == examples
    assert len(found.held_out) <= min(held_out, len(rows) // 10)


def test_prompts_are_told_apart_by_what_was_said_before_and_by_nothing_else() -> None:
    plain = Example(1, "And of Spain?", "r")
    spaced = Example(2, " and of\nSpain? ", "r", (Turn("system", "Be brief."),))
    later = Example(3, "And of Spain?", "r", (Turn("user", "Capital of France?"), Turn("assistant", "Paris.")))
    assert prompt_key(plain) == prompt_key(spaced) != prompt_key(later)


def test_a_group_too_large_to_hold_out_does_not_keep_others_from_it() -> None:
    rows = [("asked again and again", str(number)) for number in range(50)]
    rows += [(f"question {number}", "answer") for number in range(50)]
    examples = [Example(number, *row) for number, row in enumerate(rows, 1)]
    found = split_by_prompt(examples, 10)
    assert len(found.held_out) == 10
    assert all(example.prompt.startswith("question") for example in found.held_out)


@given(data=st.data(), rows=ROWS)
def test_a_split_does_not_depend_on_the_order_of_the_rows(path: Path, data: st.DataObject, rows: Rows) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert pairs(split(path, rows, 10).held_out) == pairs(split(path, shuffled, 10).held_out)


def test_at_most_a_tenth_of_a_file_is_held_out(path: Path) -> None:
    rows = [(f"question {number}", "answer") for number in range(200)]
    assert len(split(path, rows, 256).held_out) == 20
    assert len(split(path, rows, 5).held_out) == 5
    assert split(path, rows, 0).held_out == []


@pytest.mark.parametrize("rows", [[(f"question {i}", "answer") for i in range(9)], [("one prompt", "answer")] * 50])
def test_a_file_too_small_to_split_is_all_for_training(path: Path, rows: Rows) -> None:
    found = split(path, rows, 256)
    assert len(found.training) == len(rows)
    assert found.held_out == []


def task(examples: int, held_out: int, seed: int = 0) -> Split:
    source = {"kind": "task", "examples": examples, "seed": seed}
    return load_split(DataSpec.parse({"source": source, "held_out": held_out}), Path)


def test_held_out_puzzles_are_never_trained_on() -> None:
    found = task(300, 100)
    assert (len(found.training), len(found.held_out)) == (300, 100)
    assert {example.prompt for example in found.training}.isdisjoint(example.prompt for example in found.held_out)
    assert len({example.id for example in found.training + found.held_out}) == 400


def test_the_seed_of_the_generator_decides_the_puzzles() -> None:
    first, again, other = task(20, 5), task(20, 5), task(20, 5, seed=1)
    assert first == again
    assert first.training != other.training
