"""The mask token is what is filled in, never what fills it in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gift_core.models.loading import DiffusionModel, load_base
from gift_core.sampling import Start, denoise, denoise_steps
from gift_core.sampling.prediction import Reader
from gift_core.trace import Edit
from gift_core.tracing import infill
from tests.gift_core import checkpoints, references
from tests.gift_core.test_sampling import MODES, spec


@pytest.fixture(params=["llada", "dream"])
def expecting_masks(request: pytest.FixtureRequest, tmp_path: Path) -> DiffusionModel:
    """A model of each family that finds the mask token the most probable everywhere."""
    writers = {"llada": checkpoints.write_llada, "dream": checkpoints.write_dream}
    published = load_base(str(writers[request.param](tmp_path / "it")))
    head: Any = published.network.get_output_embeddings()
    bias = torch.zeros(head.weight.shape[0])
    bias[published.mask_id] = 40.0
    head.bias = torch.nn.Parameter(bias)
    logits = references.whole_logits(published, torch.tensor([5, published.mask_id]))
    assert set(logits.argmax(-1).tolist()) == {published.mask_id}
    return published


NEVER_MASKS: list[dict[str, Any]] = [
    *MODES,
    {"temperature": 1.0, "top_p": 0.3},
    {"top_p": 0.3},
    {"sampler": "dream", "top_p": 0.3, "temperature": 1.0, "remasking": "topk_margin"},
    {"sampler": "dream", "remasking": "entropy"},
    {"sampler": "dream", "remasking": "origin", "temperature": 0.7},
    {"remasking": "topk_margin"},
    {"suppress_eos": "tokens", "temperature": 0.001},
    {"temperature": 10.0},
    {"steps": 3},
]


@pytest.mark.parametrize("changes", NEVER_MASKS, ids=str)
def test_the_mask_token_is_never_committed(expecting_masks: DiffusionModel, changes: dict[str, Any]) -> None:
    model = expecting_masks
    sampling = spec(**({"length": 24, "block_length": 8, "steps": 12} | changes))
    # Given and placed masks are open positions: a trace of an older release may hold some.
    starts = [Start(), Start(given={0: 7, 3: model.mask_id}, placed={4: 8, 9: model.mask_id})]
    last = None
    for step in denoise_steps(model, [[5, 6], [9]], sampling, seed=2, starts=starts, top_k=3):
        assert torch.equal(step.tokens == model.mask_id, step.masked)
        assert not (step.predictions.token == model.mask_id).any()
        assert not (step.predictions.top_token == model.mask_id).any()
        assert all(values.isfinite().all() for values in step.predictions)
        last = step
    assert last is not None
    answers = denoise(model, [[5, 6], [9]], sampling, seed=2, starts=starts)
    assert all(model.mask_id not in answer for answer in answers)
    assert (answers[1][0], answers[1][4]) == (7, 8)


def test_where_the_mask_is_expected_the_next_best_token_is_committed(expecting_masks: DiffusionModel) -> None:
    model, prompt = expecting_masks, list(range(40, 49))
    logits = references.whole_logits(model, torch.tensor([*prompt, model.mask_id]))[-1]
    best = logits.topk(2).indices.tolist()
    assert best[0] == model.mask_id
    assert denoise(model, [prompt], spec(length=1, block_length=1, steps=1)) == [[best[1]]]


def test_a_position_that_expects_the_mask_is_the_least_sure_of_its_margin() -> None:
    """Vocabulary of four: the first row is sure of token 2, the second of the mask."""
    logits = torch.tensor([[0.0, 1.0, 5.0, 0.0], [0.5, 1.0, 0.0, 5.0]])
    reader = Reader(spec(remasking="topk_margin"), 0, (0,), 3, top_k=4)
    head = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.eye_(head.weight)
    with torch.inference_mode():
        found = reader(logits, head, torch.zeros(2), torch.arange(2))
    assert found.token.tolist() == [2, 1]
    assert found.confidence[0] > 0 > found.confidence[1]
    assert found.top_token.tolist() == [[2, 1, 0], [1, 0, 2]]


def test_a_given_text_that_spells_the_mask_leaves_its_position_open(tiny: DiffusionModel) -> None:
    begun = infill(tiny, [Edit(position=0, text="12<|mask|>3")], 24)
    tokens = tiny.tokenizer.encode("12<|mask|>3", add_special_tokens=False)
    assert tiny.mask_id in tokens
    assert begun.start().given == {i: token for i, token in enumerate(tokens) if token != tiny.mask_id}
