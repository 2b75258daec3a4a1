from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gift_core.data.examples import Example
from gift_core.data_overlap import Overlap, overlap

Pairs = list[tuple[str, str]]
PAIRS = st.lists(st.tuples(st.sampled_from("ab "), st.sampled_from("xy")), max_size=12)


def examples(pairs: Pairs) -> list[Example]:
    return [Example(number, *pair) for number, pair in enumerate(pairs)]


def test_counts_what_is_equal_but_for_case_and_space() -> None:
    training = examples([("One  plus one?", "2"), ("One  plus one?", "2"), ("Else?", "3")])
    held_out = examples([("one plus ONE? ", "2"), ("one plus one?", "two"), ("New?", "2")])
    assert overlap(training, held_out) == Overlap(repeated=1, held_out=2, learned=1)


@given(PAIRS, PAIRS)
def test_repetitions_are_what_a_set_leaves_out(training: Pairs, held_out: Pairs) -> None:
    found = overlap(examples(training), examples(held_out))
    assert found.repeated == len(training) - len(set(training))
    assert 0 <= found.learned <= found.held_out <= len(held_out)
    assert overlap(examples(training), examples(training)).learned == len(training)
    assert overlap(examples(training), []).held_out == 0
