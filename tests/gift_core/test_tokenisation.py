from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from gift_core.data.examples import Example, Turn
from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder, tokenise_all
from gift_core.data_spec import DataSpec
from gift_core.errors import DataError
from gift_core.models.loading import DiffusionModel
from gift_core.spec import SamplingSpec


def test_the_prompt_is_a_strict_prefix_and_the_response_ends_with_its_turn_and_tail(tiny: DiffusionModel) -> None:
    encoder = Encoder(tiny.tokenizer)
    item = encoder.example(
        Example(1, "What is 2 + 2?", "4"), DataSpec(), SamplingSpec(length=8, block_length=8, steps=8)
    )
    assert list(item.input_ids[: item.prompt_length]) == encoder.prompt("What is 2 + 2?")
    response = list(item.input_ids[item.prompt_length :])
    assert response == [*encoder.text("4"), tiny.end_of_turn_id, *[tiny.eos_id] * 6]
    assert item.tail_length == 6


@pytest.mark.parametrize(("text", "tail"), [("1234567", 0), ("12345678", 7), ("123456", 1)])
def test_the_block_tail_fills_the_last_block(tiny: DiffusionModel, text: str, tail: int) -> None:
    ids, found = Encoder(tiny.tokenizer).response(text, "block", 8)
    assert (len(ids) % 8, found) == (0, tail)


def test_the_other_tail_is_one_eos(tiny: DiffusionModel) -> None:
    ids, tail = Encoder(tiny.tokenizer).response("12", "one", 8)
    assert (ids[-1], tail, len(ids)) == (tiny.eos_id, 1, 4)


@pytest.mark.parametrize("text", ["<|mask|>", "a<|eot|>b", "<|assistant|>", "</script>"])
def test_special_tokens_written_by_a_user_stay_text(tiny: DiffusionModel, text: str) -> None:
    ids = Encoder(tiny.tokenizer).text(text)
    assert not set(ids) & set(tiny.tokenizer.all_special_ids)
    assert tiny.tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", ["plain", "naïve – 数独 🧩 ok", "tab\there\n", "\ud83e"[:0] + "é"])
def test_any_text_survives_encoding_and_its_glyphs_spell_it(tiny: DiffusionModel, text: str) -> None:
    ids = Encoder(tiny.tokenizer).text(text)
    tokens = tokens_of(tiny.tokenizer, ids)
    assert "".join(token.text for token in tokens) == text
    assert [token.id for token in tokens] == ids


def test_the_bytes_of_one_character_are_one_glyph(tiny: DiffusionModel) -> None:
    tokens = tokens_of(tiny.tokenizer, Encoder(tiny.tokenizer).text("🧩"))
    assert len(tokens) == 4
    assert {token.glyph for token in tokens} == {0}


def test_broken_bytes_are_shown_rather_than_lost(tiny: DiffusionModel) -> None:
    tokens = tokens_of(tiny.tokenizer, Encoder(tiny.tokenizer).text("🧩")[:2])
    assert all(token.text.startswith("⟨") for token in tokens)


def test_special_tokens_are_named(tiny: DiffusionModel) -> None:
    tokens = tokens_of(tiny.tokenizer, [tiny.mask_id, tiny.eos_id])
    assert [(token.text, token.special) for token in tokens] == [("<|mask|>", True), ("<|eos|>", True)]


def test_every_row_that_is_too_long_is_named(tiny: DiffusionModel) -> None:
    rows = [Example(1, "short", "ok"), Example(2, "9" * 900, "ok"), Example(5, "9" * 2000, "ok")]
    with pytest.raises(DataError) as caught:
        tokenise_all(rows, tiny.tokenizer, DataSpec(max_length=512), SamplingSpec(), 1024)
    assert [problem.field for problem in caught.value.problems] == ["row 2", "row 5"]
    assert "data.max_length" in str(caught.value.problems[0])


def test_a_row_longer_than_the_context_says_so(tiny: DiffusionModel) -> None:
    with pytest.raises(DataError, match="context holds 1024"):
        tokenise_all([Example(1, "9" * 2000, "x")], tiny.tokenizer, DataSpec(max_length=4096), SamplingSpec(), 1024)


LONG = [Example(1, "4", "ok"), Example(2, "4", "9" * 80), Example(3, "9" * 90, "ok"), Example(4, "4", "9" * 9000)]


def test_too_long_examples_are_cut_at_their_end_when_asked(tiny: DiffusionModel) -> None:
    data = DataSpec(max_length=64, overlong="truncate")
    found = tokenise_all(LONG, tiny.tokenizer, data, SamplingSpec(), 1024)
    assert [example.id for example in found.examples] == [1, 2, 4]
    assert (found.truncated, found.dropped) == (2, 1), "where the prompt fills the limit nothing is left to learn"
    for cut in found.examples[1:]:
        assert len(cut.input_ids) == 64
        assert cut.tail_length == 0
        assert cut.prompt_length == len(Encoder(tiny.tokenizer).prompt("4"))


def test_too_long_examples_are_left_out_when_asked(tiny: DiffusionModel) -> None:
    found = tokenise_all(LONG, tiny.tokenizer, DataSpec(max_length=64, overlong="drop"), SamplingSpec(), 1024)
    assert [example.id for example in found.examples] == [1]
    assert (found.truncated, found.dropped) == (0, 3)


def test_a_cut_inside_the_tail_keeps_count_of_it(tiny: DiffusionModel) -> None:
    item = Encoder(tiny.tokenizer).example(Example(1, "4", "44"), DataSpec(), SamplingSpec())
    cut = item.cut(len(item.input_ids) - 3)
    assert cut is not None
    assert cut.tail_length == item.tail_length - 3
    assert item.cut(item.prompt_length) is None


def test_the_tail_goes_up_to_the_maximum_when_asked(tiny: DiffusionModel) -> None:
    data = DataSpec(max_length=64, eos_tail="max")
    (item,) = tokenise_all([Example(1, "4", "44")], tiny.tokenizer, data, SamplingSpec(), 48).examples
    assert len(item.input_ids) == 48, "the context is shorter than the maximum"
    assert set(item.input_ids[-item.tail_length :]) == {tiny.eos_id}
    assert item.response_length == item.tail_length + 3


def test_padding_an_example_adds_tail_only(tiny: DiffusionModel) -> None:
    item = Encoder(tiny.tokenizer).example(Example(1, "4", "44"), DataSpec(eos_tail="one"), SamplingSpec())
    longer = item.padded(50, tiny.eos_id)
    assert longer.input_ids[: len(item.input_ids)] == item.input_ids
    assert longer.tail_length == 50 - len(item.input_ids) + 1
    assert item.padded(8, tiny.eos_id) is item


HISTORY = (Turn("system", "Be brief."), Turn("user", "Hi."), Turn("assistant", "Ho."))
TALK = Example(1, "And of Spain?", "Madrid.", HISTORY)


def test_turns_before_the_prompt_are_rendered_as_the_template_writes_them(tiny: DiffusionModel) -> None:
    item = Encoder(tiny.tokenizer).example(TALK, DataSpec(), SamplingSpec())
    said = [*TALK.history, Turn("user", TALK.prompt)]
    turns = [{"role": turn.role, "content": turn.text} for turn in said]
    rendered = tiny.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert list(item.input_ids[: item.prompt_length]) == tiny.tokenizer.encode(rendered, add_special_tokens=False)
    # A prompt by itself is what it was.
    assert Encoder(tiny.tokenizer).prompt("x", ()) == Encoder(tiny.tokenizer).prompt("x")


def with_template(tiny: DiffusionModel, template: str) -> Encoder:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template = template
    return Encoder(tokenizer)


ONLY_USERS = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<|user|>' + m['content'] + '<|eot|>' }}{% endfor %}<|assistant|>"
)


def test_a_template_without_a_system_turn_has_it_before_the_first_question(tiny: DiffusionModel) -> None:
    encoder = with_template(tiny, ONLY_USERS)
    found = encoder.prompt("What?", [Turn("system", "Be brief.")])
    assert found == encoder.prompt("Be brief.\n\nWhat?")


ONE_TURN = "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0]['content'] }}"


def test_turns_that_a_template_does_not_take_are_named_with_every_row(tiny: DiffusionModel) -> None:
    tokenizer = with_template(tiny, ONE_TURN).tokenizer
    rows = [TALK, Example(2, "p", "r"), replace(TALK, id=3, history=HISTORY[1:])]
    with pytest.raises(DataError) as caught:
        tokenise_all(rows, tokenizer, DataSpec(), SamplingSpec(), 512)
    assert [problem.field for problem in caught.value.problems] == ["row 1", "row 3"]
    for problem in caught.value.problems:
        assert problem.message == "The model's chat template does not take the turns user, assistant, user."
        assert problem.remedy
