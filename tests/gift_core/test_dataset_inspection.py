"""A data set as checkpoints see it: real probes of the tiny base, and statistics that must add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.data.examples import Example
from gift_core.data.glyphs import tokens_of
from gift_core.data.sources import load_split
from gift_core.data.tokenisation import Encoder
from gift_core.dataset_document import DatasetInspection
from gift_core.dataset_inspection import DatasetOptions, inspect_dataset, sample
from gift_core.dataset_statistics import SeenResponse, glyph_statistics, position_statistics, rate_histogram
from gift_core.documents import Token
from gift_core.errors import DataError
from gift_core.inspection import inspect
from gift_core.models.loading import DiffusionModel
from gift_core.run import frozen_rates, prepare
from gift_core.spec import RunSpec
from gift_core.token_classes import classes_of

SPEC = RunSpec().replace(
    {"data.source": {"kind": "task", "task": "countdown", "examples": 40}, "training.precision": "fp32"}
)
EXAMPLES = load_split(SPEC.data, Path).training
OPTIONS = DatasetOptions(examples=12, minimum_count=3)


def look(
    *models: DiffusionModel,
    examples: list[Example] = EXAMPLES,
    spec: RunSpec = SPEC,
    options: DatasetOptions = OPTIONS,
) -> DatasetInspection:
    return inspect_dataset([(str(i), str(i), model) for i, model in enumerate(models)], examples, spec, options)


def test_it_agrees_with_inspecting_each_text(tiny: DiffusionModel) -> None:
    found = look(tiny).checkpoints[0]
    chosen = sample(EXAMPLES, 12, 0)
    single = [inspect([("", "", tiny)], one.prompt, one.response, SPEC.objective) for one in chosen]
    entropies = [value for one in single for value in one.checkpoints[0].entropy]
    assert found.tokens == len(entropies)
    assert found.mean_entropy == pytest.approx(np.mean(entropies), rel=1e-4)
    frequencies = [value for one in single for value in one.checkpoints[0].masking[0].frequency]
    assert found.masking_frequency == pytest.approx(np.mean(frequencies), rel=1e-4)
    first = found.highest[0]
    seen = [
        one.checkpoints[0].entropy[place]
        for one in single
        for place, token in enumerate(one.response)
        if [token.id] == first.ids
    ]
    assert (first.count, first.mean_entropy) == (len(seen), pytest.approx(np.mean(seen), rel=1e-3))


def test_groups_and_histogram_count_every_token_once(tiny: DiffusionModel) -> None:
    found = look(tiny).checkpoints[0]
    for groups in (found.classes, found.positions):
        assert sum(group.tokens for group in groups) == found.tokens
        for share in ("token_share", "rate_share", "masked_share"):
            assert sum(getattr(group, share) for group in groups) == pytest.approx(1)
        total = sum(group.tokens * (group.mean_entropy or 0) for group in groups)
        assert total / found.tokens == pytest.approx(found.mean_entropy)
    assert sum(found.rates.counts) == found.tokens
    assert [glyph.mean_entropy for glyph in found.highest] == sorted(
        (glyph.mean_entropy for glyph in found.highest), reverse=True
    )
    assert found.lowest[0].mean_entropy <= found.highest[-1].mean_entropy
    assert min(glyph.count for glyph in [*found.highest, *found.lowest]) >= OPTIONS.minimum_count


def test_what_the_model_cannot_know_is_masked_more_than_sft_would(tiny: DiffusionModel) -> None:
    classes = {group.name: group for group in look(tiny).checkpoints[0].classes}
    assert classes["tail"].masked_share < classes["tail"].token_share
    assert classes["tag"].masked_share < classes["tag"].token_share
    assert classes["number"].masked_share > classes["number"].token_share


def test_a_against_a_is_the_same(tiny: DiffusionModel) -> None:
    one, other = look(tiny, tiny).checkpoints
    assert one == other.model_copy(update={"checkpoint": "0", "label": "0"})


def test_power_zero_makes_all_rates_one(tiny: DiffusionModel) -> None:
    found = look(tiny, spec=SPEC.replace({"objective.power": 0})).checkpoints[0]
    assert found.masking_frequency == pytest.approx(0.5005)
    for group in found.classes:
        assert group.masked_share == pytest.approx(group.token_share)


def test_the_batch_reference_is_the_mean_over_all_examples(tiny: DiffusionModel) -> None:
    found = look(tiny, spec=SPEC.replace({"objective.reference": "batch"})).checkpoints[0]
    rates = {group.name: group for group in found.classes}
    mean_rate = sum(group.tokens * (group.mean_rate or 0) for group in found.classes) / found.tokens
    # r_i is beta_i over one number for all: shares of r are shares of beta.
    number = rates["number"]
    assert number.rate_share == pytest.approx(number.token_share * (number.mean_rate or 0) / mean_rate)


def test_what_was_probed_before_is_not_probed_again(tiny: DiffusionModel, tmp_path: Path) -> None:
    options = DatasetOptions(examples=12, minimum_count=3, rate_cache=tmp_path)
    probed: list[int] = []
    models = [("0", "0", tiny)]
    first = inspect_dataset(models, EXAMPLES, SPEC, options, lambda _label, done, _total: probed.append(done))
    assert probed[-1] == 12
    again = inspect_dataset(models, EXAMPLES, SPEC, options, lambda *_: pytest.fail("probed again"))
    assert again == first == look(tiny)


def test_rates_that_a_run_froze_are_found(tiny: DiffusionModel, small_run: RunSpec, tmp_path: Path) -> None:
    spec = small_run.replace({"objective.probe": "frozen"})
    frozen_rates(spec, prepare(spec, Path), tmp_path)
    examples = load_split(spec.data, Path).training
    options = DatasetOptions(rate_cache=tmp_path)
    found = inspect_dataset([("0", "0", tiny)], examples, spec, options, lambda *_: pytest.fail("probed again"))
    assert found.examples == 24


def test_nothing_to_look_at_is_an_error(tiny: DiffusionModel) -> None:
    with pytest.raises(DataError):
        look(tiny, examples=[])


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 9))
def test_a_larger_sample_only_adds(few: int, more: int, seed: int) -> None:
    small, large = (sample(EXAMPLES, min(pair), seed) for pair in ((few, more), (max(few, more),)))
    assert {example.id for example in small} <= {example.id for example in large}
    assert len(large) == min(len(EXAMPLES), max(few, more))
    assert [example.id for example in large] == sorted(example.id for example in large)


def classified(model: DiffusionModel, text: str) -> list[tuple[str, str]]:
    ids, tail = Encoder(model.tokenizer).response(text, "block", 8)
    tokens = tokens_of(model.tokenizer, ids)
    return [(token.text, name) for token, name in zip(tokens, classes_of(tokens, tail), strict=True)]


def test_classes_of_tokens(tiny: DiffusionModel) -> None:
    found = classified(tiny, "<b>So 7\n+é €</b>")
    names: dict[str, str] = {}
    for text, name in found:
        names.setdefault(text, name)
    # <b> is no token of its own: all that it is made of belongs to it.
    assert [name for text, name in found[:3]] == ["tag"] * 3
    assert (names["7"], names["\n"], names["+"], names["é"], names["€"]) == (
        "number",
        "whitespace",
        "symbol",
        "word",
        "symbol",
    )
    assert (names["<|eot|>"], names["<|eos|>"]) == ("tag", "tail")
    assert [name for text, name in found if text == ""] == ["word", "symbol", "symbol"], "more bytes of é and €"


def seen(texts: list[str], glyphs: list[int], entropy: list[float]) -> SeenResponse:
    tokens = [
        Token(id=ord((text or "~")[0]), text=text, glyph=glyph) for text, glyph in zip(texts, glyphs, strict=True)
    ]
    values = np.array(entropy)
    return SeenResponse(tokens, classes_of(tokens, 0), values, values**0.5, values, values / 2)


def test_the_pieces_of_a_glyph_are_one_entry() -> None:
    first = seen(["a", "€", "", ""], [0, 1, 1, 1], [1.0, 3.0, 0.0, 0.0])
    second = seen(["€", "", ""], [0, 0, 0], [3.0, 3.0, 0.0])
    glyphs = {glyph.text: glyph for glyph in glyph_statistics([first, second], 1)}
    assert set(glyphs) == {"a", "€"}
    assert (glyphs["€"].count, len(glyphs["€"].ids)) == (2, 3)
    assert (glyphs["€"].mean_entropy, glyphs["€"].deviation) == pytest.approx((1.5, 0.5))
    assert [glyph.text for glyph in glyph_statistics([first, second], 2)] == ["€"]


def test_places_are_parts_of_the_response_whatever_its_length() -> None:
    short, long = seen(["a", "b"], [0, 1], [1.0, 2.0]), seen(list("abcd"), [0, 1, 2, 3], [1.0, 1.0, 5.0, 5.0])
    first, second = position_statistics([short, long], 2)
    assert (first.tokens, second.tokens) == (3, 3)
    assert (first.mean_entropy, second.mean_entropy) == pytest.approx((1.0, 4.0))
    empty = position_statistics([short], 4)[1]
    assert (empty.tokens, empty.mean_entropy, empty.token_share) == (0, None, 0.0)


def test_the_histogram_reaches_from_certainty_to_a_blind_guess() -> None:
    histogram = rate_histogram([seen(["a", "b"], [0, 1], [0.0, float(np.log(64)) * 1.0000001])], 64, 0.5, 4)
    assert histogram.counts == [1, 0, 0, 1]
    assert histogram.edges[-1] == pytest.approx(np.log(64) ** 0.5)
