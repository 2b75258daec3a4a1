from __future__ import annotations

import math

import pytest
import torch

from gift_core.data.tokenisation import Encoder
from gift_core.documents import Inspection
from gift_core.errors import SpecError
from gift_core.inspection import inspect
from gift_core.models.loading import DiffusionModel
from gift_core.spec import ObjectiveSpec, SamplingSpec
from gift_core.tasks import sudoku

PUZZLE = sudoku.generate(0, "standard", 0, 1)[1][0]


def look(model: DiffusionModel, response: str, prompt: str = PUZZLE.prompt, power: float = 0.5) -> Inspection:
    return inspect([("tiny", "Base", model)], prompt, response, ObjectiveSpec(power=power))


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
