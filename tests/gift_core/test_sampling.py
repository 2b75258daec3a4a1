from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch

from gift_core.data.tokenisation import Encoder
from gift_core.documents import Trace
from gift_core.errors import SpecError
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import commits_per_step, denoise, denoise_steps, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks import sudoku
from gift_core.tracing import trace

PUZZLES = sudoku.generate(0, "standard", 0, 4)[1]
PROMPT = PUZZLES[0].prompt
LENGTH = SamplingSpec().length


def reference_denoise(model: DiffusionModel, prompt: list[int], sampling: SamplingSpec) -> list[int]:
    """LLaDA's published loop at temperature 0: full logits, one sequence, confidence by softmax."""
    x = torch.tensor([prompt + [model.mask_id] * sampling.length])
    blocks = sampling.length // sampling.block_length
    steps = sampling.steps // blocks
    for block in range(blocks):
        end = len(prompt) + (block + 1) * sampling.block_length
        counts = commits_per_step(sampling.block_length, steps)
        for count in counts:
            masked = x == model.mask_id
            with torch.no_grad():
                logits = model.network(x).logits
            x0 = logits.argmax(-1)
            confidence = logits.softmax(-1).gather(-1, x0[..., None])[..., 0]
            confidence = torch.where(masked, confidence, -math.inf)
            confidence[:, end:] = -math.inf
            chosen = confidence[0].topk(count).indices
            x[0, chosen] = x0[0, chosen]
    return x[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSpec(),
        SamplingSpec(length=24, block_length=8, steps=24),
        SamplingSpec(length=24, block_length=8, steps=9),
        SamplingSpec(length=20, block_length=20, steps=7),
    ],
    ids=["one block", "three blocks", "uneven schedule", "seven steps"],
)
def test_greedy_denoising_matches_the_published_loop_token_for_token(
    tiny: DiffusionModel, sampling: SamplingSpec
) -> None:
    prompts = [Encoder(tiny.tokenizer).prompt(puzzle.prompt) for puzzle in PUZZLES]
    assert denoise(tiny, prompts, sampling) == [reference_denoise(tiny, prompt, sampling) for prompt in prompts]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("remasking", ["low_confidence", "random"])
def test_a_row_does_not_depend_on_its_neighbours(tiny: DiffusionModel, temperature: float, remasking: str) -> None:
    sampling = SamplingSpec.parse({"temperature": temperature, "remasking": remasking})
    encoder = Encoder(tiny.tokenizer)
    prompts = [encoder.prompt(text) for text in (PROMPT, "Hi", "A rather longer prompt than the others, to pad them.")]
    together = denoise(tiny, prompts, sampling, seed=3)
    assert together == [denoise(tiny, [prompt], sampling, seed=3)[0] for prompt in prompts]


def test_the_seed_decides_at_a_temperature_and_does_nothing_without(tiny: DiffusionModel) -> None:
    prompt = Encoder(tiny.tokenizer).prompt("Tell me something")
    warm = SamplingSpec(temperature=1.0)
    assert denoise(tiny, [prompt], warm, seed=1) == denoise(tiny, [prompt], warm, seed=1)
    assert denoise(tiny, [prompt], warm, seed=1) != denoise(tiny, [prompt], warm, seed=2)
    assert denoise(tiny, [prompt], SamplingSpec(), seed=1) == denoise(tiny, [prompt], SamplingSpec(), seed=2)


@pytest.mark.parametrize(("length", "steps"), [(8, 8), (8, 3), (7, 2), (5, 1)])
def test_a_schedule_commits_every_position_once(length: int, steps: int) -> None:
    counts = commits_per_step(length, steps)
    assert sum(counts) == length
    assert len(counts) == steps
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts, reverse=True)


def test_every_position_is_committed_exactly_once_and_never_changes(tiny: DiffusionModel) -> None:
    prompt = Encoder(tiny.tokenizer).prompt(PROMPT)
    committed = torch.zeros(1, 24, dtype=torch.bool)
    before = None
    for step in denoise_steps(tiny, [prompt], SamplingSpec(length=24, block_length=8, steps=12)):
        assert not (committed & step.committed).any()
        if before is not None:
            assert torch.equal(step.tokens[committed], before[committed])
        committed |= step.committed
        before = step.tokens
    assert committed.all()


def make_trace(model: DiffusionModel, prompt: str = PROMPT) -> Trace:
    return trace(model, prompt, SamplingSpec(), 0, checkpoint="tiny", label="Base")


def test_a_trace_records_what_denoising_did(tiny: DiffusionModel) -> None:
    ids = denoise(tiny, [Encoder(tiny.tokenizer).prompt(PROMPT)], SamplingSpec())[0]
    recorded = make_trace(tiny)
    placed = {commit.position: commit.token.id for step in recorded.steps for commit in step}
    assert [placed[position] for position in range(LENGTH)] == ids
    assert recorded.text == text_of(tiny, ids)
    assert recorded.forward_passes == len(recorded.steps) == SamplingSpec().steps
    for step in recorded.steps:
        for commit in step:
            assert commit.top[0].token.id == commit.token.id
            assert commit.confidence == pytest.approx(commit.top[0].probability)


def test_uncertainty_in_a_trace_ends_where_a_position_is_committed(tiny: DiffusionModel) -> None:
    recorded = make_trace(tiny)
    entropy = np.frombuffer(base64.b64decode(recorded.entropy), np.uint8).reshape(SamplingSpec().steps, LENGTH)
    confidence = np.frombuffer(base64.b64decode(recorded.confidence), np.uint8).reshape(SamplingSpec().steps, LENGTH)
    assert entropy[0].any()
    for index, step in enumerate(recorded.steps):
        for commit in step:
            assert not entropy[index + 1 :, commit.position].any()
            assert (confidence[index + 1 :, commit.position] == 255).all()


def test_a_trace_of_a_sudoku_carries_a_verdict_and_of_another_prompt_none(tiny: DiffusionModel) -> None:
    recorded = make_trace(tiny)
    expected = sudoku.judge(PROMPT, recorded.text)
    assert expected is not None
    assert recorded.verdict == expected.text != ""
    assert make_trace(tiny, "Hello").verdict == ""


def test_two_traces_of_one_checkpoint_are_equal(tiny: DiffusionModel) -> None:
    one, other = make_trace(tiny), make_trace(tiny)
    assert one.model_dump(exclude={"seconds"}) == other.model_dump(exclude={"seconds"})


def test_a_prompt_longer_than_the_context_names_the_field(tiny: DiffusionModel) -> None:
    with pytest.raises(SpecError, match="context of 1024") as caught:
        make_trace(tiny, "9" * 1100)
    assert caught.value.problems[0].field == "prompt"
