from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gift_core.data.tokenisation import Encoder
from gift_core.documents import Inspection, PartialPrediction
from gift_core.errors import SpecError
from gift_core.inspection import inspect
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.spec import ObjectiveSpec, SamplingSpec
from gift_core.tasks import sudoku
from tests.gift_core.checkpoints import WRITERS

PUZZLE = sudoku.generate(0, "standard", 0, 1)[1][0]


def look(model: DiffusionModel, response: str, prompt: str = PUZZLE.prompt, power: float = 0.5) -> Inspection:
    return inspect([("tiny", "Base", model)], prompt, response, ObjectiveSpec(power=power))


def partly(model: DiffusionModel, response: str, masked: list[int]) -> PartialPrediction:
    found = inspect([("tiny", "Base", model)], PUZZLE.prompt, response, ObjectiveSpec(), masked=masked)
    partial = found.checkpoints[0].partial
    assert partial is not None
    return partial


def test_entropies_are_those_of_the_fully_masked_response(tiny: DiffusionModel) -> None:
    found = look(tiny, PUZZLE.response).checkpoints[0]
    prompt = Encoder(tiny.tokenizer).prompt(PUZZLE.prompt)
    with torch.no_grad():
        logits = tiny.network(torch.tensor([prompt + [tiny.mask_id] * SamplingSpec().length])).logits[0, len(prompt) :]
    expected = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(torch.tensor(found.entropy), expected, rtol=1e-3, atol=1e-5)


def test_the_response_does_not_influence_what_is_predicted_for_it(tiny: DiffusionModel) -> None:
    right, wrong = PUZZLE.response, "1111\n1111\n1111\n1111"
    assert look(tiny, right).checkpoints[0].entropy == look(tiny, wrong).checkpoints[0].entropy
    assert look(tiny, right).checkpoints[0].rank != look(tiny, wrong).checkpoints[0].rank


def test_rates_follow_from_entropies(tiny: DiffusionModel) -> None:
    found = look(tiny, PUZZLE.response, power=0.5).checkpoints[0]
    assert found.masking_rate == pytest.approx([math.sqrt(value) for value in found.entropy])
    assert found.reference == pytest.approx(sum(found.masking_rate) / len(found.masking_rate), rel=1e-5)
    assert sum(found.relative_rate) / len(found.relative_rate) == pytest.approx(1, rel=1e-4)


def test_clues_are_certain_and_blanks_are_not(tiny: DiffusionModel) -> None:
    found = look(tiny, PUZZLE.response).checkpoints[0]
    tokens = Encoder(tiny.tokenizer).text(PUZZLE.response)
    start = next(i for i in range(len(tokens)) if tiny.tokenizer.decode(tokens[:i]).endswith("<answer>"))
    digits = [i for i in range(start, len(tokens)) if tiny.tokenizer.decode(tokens[i]).isdigit()]
    cells = [character for character in PUZZLE.prompt.split("\n", 1)[1] if character.isdigit()]
    clues = [found.entropy[i] for i, clue in zip(digits, cells, strict=True) if clue != "0"]
    blanks = [found.entropy[i] for i, clue in zip(digits, cells, strict=True) if clue == "0"]
    assert sum(blanks) / len(blanks) > 3 * sum(clues) / len(clues)


def test_an_empty_response_or_a_text_beyond_the_context_names_its_field(tiny: DiffusionModel) -> None:
    with pytest.raises(SpecError) as empty:
        look(tiny, "  ")
    with pytest.raises(SpecError) as long:
        look(tiny, "1", prompt="9" * 1100)
    assert (empty.value.problems[0].field, long.value.problems[0].field) == ("response", "prompt")


def test_a_position_masked_alone_is_predicted_from_the_visible_rest(tiny: DiffusionModel) -> None:
    digits = [i for i, token in enumerate(look(tiny, PUZZLE.response).response) if token.text.isdigit()]
    last, before = digits[-1], digits[-2]
    right = partly(tiny, PUZZLE.response, [last])
    assert right.rank[last] == 0, "three of a row are in sight"
    # Another digit in the place of the one before it, and nothing else.
    at = len(PUZZLE.response) - len("</answer>") - 2
    assert PUZZLE.response[at + 1] != "1"
    other = partly(tiny, PUZZLE.response[:at] + PUZZLE.response[at + 1] + PUZZLE.response[at + 1 :], [last])
    assert other.probability[last] != pytest.approx(right.probability[last], rel=1e-3)
    assert before not in [i for i, value in enumerate(right.entropy) if value is not None]


def test_only_masked_positions_are_predicted_and_the_probe_stays_the_probe(tiny: DiffusionModel) -> None:
    whole = look(tiny, PUZZLE.response)
    found = inspect([("tiny", "Base", tiny)], PUZZLE.prompt, PUZZLE.response, ObjectiveSpec(), masked=[7, 3, 3])
    assert [i for i, masked in enumerate(found.masked) if masked] == [3, 7]
    partial = found.checkpoints[0].partial
    assert partial is not None
    for values in (partial.entropy, partial.probability, partial.rank):
        assert [i for i, value in enumerate(values) if value is not None] == [3, 7]
    assert [i for i, top in enumerate(partial.top) if top] == [3, 7]
    assert found.checkpoints[0].model_copy(update={"partial": None}) == whole.checkpoints[0]
    assert whole.masked == []


def test_all_positions_masked_is_the_probe(tiny: DiffusionModel) -> None:
    probe = look(tiny, PUZZLE.response).checkpoints[0]
    partial = partly(tiny, PUZZLE.response, list(range(len(probe.entropy))))
    assert (partial.entropy, partial.probability, partial.rank) == (probe.entropy, probe.probability, probe.rank)


def test_masking_is_worked_out_over_t_and_at_the_times_asked_for(tiny: DiffusionModel) -> None:
    found = inspect([("tiny", "Base", tiny)], PUZZLE.prompt, PUZZLE.response, ObjectiveSpec(), times=[0.3])
    checkpoint = found.checkpoints[0]
    average, at = checkpoint.masking
    assert (average.t, at.t) == (None, 0.3)
    assert at.frequency == pytest.approx([1 - 0.7**r for r in checkpoint.relative_rate])
    inverse, elbo = at.weighted
    assert (inverse.weighting, elbo.weighting) == ("inverse", "elbo")
    assert inverse.product == pytest.approx([1.0] * len(at.frequency))
    assert elbo.product == pytest.approx([r * 0.7 ** (r - 1) for r in checkpoint.relative_rate])
    assert average.weighted[0].product == pytest.approx([1.0] * len(at.frequency))
    assert Inspection.model_validate_json(found.model_dump_json()) == found


def test_rates_are_kept_between_floor_and_ceiling(tiny: DiffusionModel) -> None:
    objective = ObjectiveSpec(rate_floor=0.5, rate_ceiling=1.2)
    found = inspect([("tiny", "Base", tiny)], PUZZLE.prompt, PUZZLE.response, objective).checkpoints[0]
    assert (min(found.relative_rate), max(found.relative_rate)) == pytest.approx((0.5, 1.2))


@pytest.mark.parametrize("masked", [[], [-1], [48]])
def test_a_mask_outside_the_response_names_its_field(tiny: DiffusionModel, masked: list[int]) -> None:
    with pytest.raises(SpecError) as caught:
        partly(tiny, PUZZLE.response, masked)
    assert caught.value.problems[0].field == "masked"


def test_checkpoints_that_divide_the_text_into_other_tokens_are_not_compared(
    tiny: DiffusionModel, tmp_path: Path
) -> None:
    other = load_base(str(WRITERS["dream"](tmp_path / "dream")))
    with pytest.raises(SpecError) as caught:
        inspect([("tiny", "Base", tiny), ("dream", "Dream", other)], "hello", "1", ObjectiveSpec())
    assert caught.value.problems[0].field == "checkpoints"


def test_an_inspection_from_before_masks_could_be_drawn_is_still_read(tiny: DiffusionModel) -> None:
    found = look(tiny, PUZZLE.response)
    old = found.model_dump(exclude={"masked": True, "checkpoints": {"__all__": {"masking", "partial"}}})
    assert Inspection.model_validate(old).checkpoints[0].entropy == found.checkpoints[0].entropy
