from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gift_core.data.tokenisation import Encoder
from gift_core.errors import SpecError
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.sampling import Start, Step, commit_counts, denoise, denoise_steps, text_of
from gift_core.spec import SamplerName, SamplingSpec
from gift_core.tasks import sudoku
from tests.gift_core import checkpoints, references

PUZZLES = sudoku.generate(0, "standard", 0, 4)[1]
PROMPT = PUZZLES[0].prompt
# One after the other, with every step and without an early stop.
ONE_BY_ONE = SamplingSpec(length=24, block_length=8, steps=24, stop_early=False)


def spec(**changes: Any) -> SamplingSpec:
    return SamplingSpec.parse(SamplingSpec(stop_early=False).model_dump() | changes)


@pytest.fixture
def prompts(tiny: DiffusionModel) -> list[list[int]]:
    return [Encoder(tiny.tokenizer).prompt(puzzle.prompt) for puzzle in PUZZLES]


@pytest.fixture(params=["llada", "dream"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> DiffusionModel:
    """A small random model of each family, in the form in which it is published."""
    writers = {"llada": checkpoints.write_llada, "dream": checkpoints.write_dream}
    return load_base(str(writers[request.param](tmp_path / "it")))


SCHEDULES = [
    {},
    {"length": 24, "block_length": 8, "steps": 24},
    {"length": 24, "block_length": 8, "steps": 9},
    {"length": 20, "block_length": 20, "steps": 7},
    {"length": 24, "block_length": 8, "steps": 9, "cfg_scale": 1.5},
]


@pytest.mark.parametrize("changes", SCHEDULES, ids=str)
def test_lladas_sampler_is_matched_token_for_token(
    tiny: DiffusionModel, prompts: list[list[int]], changes: dict[str, Any]
) -> None:
    sampling = spec(**changes)
    assert denoise(tiny, prompts, sampling) == [references.llada(tiny, prompt, sampling) for prompt in prompts]


@pytest.mark.parametrize("remasking", ["low_confidence", "topk_margin", "entropy"])
@pytest.mark.parametrize("steps", [5, 24])
def test_dreams_sampler_is_matched_token_for_token(
    tiny: DiffusionModel, prompts: list[list[int]], remasking: str, steps: int
) -> None:
    sampling = spec(sampler="dream", length=24, block_length=24, steps=steps, remasking=remasking)
    assert denoise(tiny, prompts, sampling) == [references.dream(tiny, prompt, sampling) for prompt in prompts]


def test_both_samplers_are_matched_on_models_as_published(published: DiffusionModel) -> None:
    prompts = [list(range(40, 49)), list(range(30, 35))]
    llada = spec(length=16, block_length=8, steps=6)
    assert denoise(published, prompts, llada) == [references.llada(published, prompt, llada) for prompt in prompts]
    dream = spec(sampler="dream", length=16, block_length=16, steps=6, remasking="entropy")
    assert denoise(published, prompts, dream) == [references.dream(published, prompt, dream) for prompt in prompts]


@pytest.mark.parametrize("cfg_scale", [0.0, 1.5])
def test_infill_is_matched_where_rows_have_other_tokens_given(
    tiny: DiffusionModel, prompts: list[list[int]], cfg_scale: float
) -> None:
    sampling = spec(length=24, block_length=8, steps=9, cfg_scale=cfg_scale)
    tokens = tiny.tokenizer.encode("1234 So", add_special_tokens=False)
    assert denoise(tiny, [], sampling) == []
    given = [{0: tokens[0], 5: tokens[1]}, dict(enumerate(tokens[:4], 8)), {}, {23: tokens[2]}]
    answers = denoise(tiny, prompts, sampling, starts=[Start(given=each) for each in given])
    expected = [references.llada(tiny, prompt, sampling, each) for prompt, each in zip(prompts, given, strict=True)]
    assert answers == expected
    assert all(answer[i] == token for answer, each in zip(answers, given, strict=True) for i, token in each.items())


@given(st.sampled_from(["llada", "dream"]), st.integers(0, 200), st.integers(1, 200))
def test_a_schedule_commits_everything_once(sampler: SamplerName, masked: int, steps: int) -> None:
    counts = commit_counts(sampler, masked, steps)
    assert len(counts) == steps
    assert sum(counts) == masked
    assert min(counts) >= 0
    if sampler == "llada":
        assert counts == sorted(counts, reverse=True)
        assert max(counts) - min(counts) <= 1


MODES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7},
    {"temperature": 0.7, "remasking": "random"},
    {"temperature": 0.7, "top_p": 0.8, "sampler": "dream", "remasking": "entropy"},
    {"sampler": "dream", "remasking": "origin"},
    {"temperature": 0.5, "confidence_threshold": 0.6},
    {"entropy_bound": 0.5},
    {"cfg_scale": 1.0},
    {"cache": "prefix"},
    {"cache": "prefix", "confidence_threshold": 0.6, "temperature": 0.5},
    {"suppress_eos": "confidence", "stop_early": True},
]


@pytest.mark.parametrize("changes", MODES, ids=str)
def test_a_row_depends_neither_on_its_neighbours_nor_on_padding(tiny: DiffusionModel, changes: dict[str, Any]) -> None:
    sampling = spec(length=24, block_length=8, steps=12, **changes)
    encoder = Encoder(tiny.tokenizer)
    prompts = [encoder.prompt(text) for text in (PROMPT, "Hi", "A rather longer prompt than the others, to pad them.")]
    starts = [Start(), Start(given={3: prompts[1][0]}), Start()]
    together = denoise(tiny, prompts, sampling, seed=3, starts=starts)
    alone = [
        denoise(tiny, [prompt], sampling, seed=3, starts=[start])[0]
        for prompt, start in zip(prompts, starts, strict=True)
    ]
    assert together == alone
    assert denoise(tiny, prompts[::-1], sampling, seed=3, starts=starts[::-1]) == alone[::-1]


def test_rows_in_other_blocks_leave_a_cached_row_as_it_is(tiny: DiffusionModel, prompts: list[list[int]]) -> None:
    """A row that is two blocks on keeps the keys and values it would keep alone: what it predicts shows them."""
    sampling = spec(length=24, block_length=8, steps=24, cache="prefix")
    placed = dict(enumerate(denoise(tiny, prompts[:1], sampling)[0][:16]))
    ahead = Start(placed=placed, step=16)
    alone = list(denoise_steps(tiny, prompts[:1], sampling, starts=[ahead]))
    beside = list(denoise_steps(tiny, prompts[:2], sampling, starts=[ahead, Start()]))
    assert len(alone) == 8
    for one, both in zip(alone, beside, strict=False):
        count = int(one.read.sum())
        expected = one.predictions.probability
        assert torch.allclose(both.predictions.probability[:count], expected, atol=1e-5)


def test_origin_draws_each_position_by_itself(tiny: DiffusionModel) -> None:
    """Two of 24 positions are masked: the step that commits one is uniform over all steps, whatever was given."""
    sampling = spec(sampler="dream", remasking="origin", length=24, block_length=24, steps=24)
    start = Start(given=dict.fromkeys(range(2, 24), 7))
    seen = torch.zeros(24)
    for seed in range(60):
        for step in denoise_steps(tiny, [[5, 6]], sampling, seed, starts=[start]):
            seen[int(step.numbers[0])] += int(step.committed.sum())
    assert seen.sum() == 120
    halves = seen[:12].sum(), seen[12:].sum()
    # Binomial with 120 draws: four standard deviations.
    assert abs(float(halves[0] - halves[1])) < 44
    assert seen[:4].sum() > 0


@pytest.mark.parametrize("changes", [{"temperature": 1.0}, {"remasking": "random"}], ids=str)
def test_the_seed_decides_where_something_is_drawn(
    tiny: DiffusionModel, prompts: list[list[int]], changes: dict[str, Any]
) -> None:
    one, same, other = (denoise(tiny, prompts, spec(**changes), seed) for seed in (1, 1, 2))
    assert one == same != other
    assert denoise(tiny, prompts, spec(), 1) == denoise(tiny, prompts, spec(), 2)


def test_a_draw_at_a_temperature_has_the_models_own_distribution(published: DiffusionModel) -> None:
    """One masked token, 400 seeds: chi-squared over the ten most probable tokens."""
    prompt = list(range(40, 49))
    logits = references.whole_logits(published, torch.tensor([*prompt, published.mask_id]))[-1]
    probabilities = (logits / 0.5).softmax(-1)
    one = spec(length=1, block_length=1, steps=1, temperature=0.5)
    drawn = torch.tensor([denoise(published, [prompt], one, seed)[0][0] for seed in range(400)])
    best = probabilities.topk(10)
    seen = torch.stack([(drawn == token).sum() for token in best.indices])
    expected = 400 * torch.cat([best.values, 1 - best.values.sum(0, keepdim=True)])
    counts = torch.cat([seen, 400 - seen.sum(0, keepdim=True)])
    # The 0.999 quantile with ten degrees of freedom.
    assert float(((counts - expected) ** 2 / expected).sum()) < 29.6


def test_a_nucleus_leaves_only_the_most_probable_tokens(published: DiffusionModel) -> None:
    prompt = list(range(40, 49))
    probabilities = references.whole_logits(published, torch.tensor([*prompt, published.mask_id]))[-1].softmax(-1)
    ordered = probabilities.sort(descending=True)
    kept = set(ordered.indices[: int((ordered.values.cumsum(0) - ordered.values <= 0.05).sum())].tolist())
    one = spec(length=1, block_length=1, steps=1, temperature=1.0, top_p=0.05)
    drawn = {denoise(published, [prompt], one, seed)[0][0] for seed in range(60)}
    assert drawn <= kept
    assert len(drawn) > 1


def test_every_position_is_committed_once_and_never_changes(tiny: DiffusionModel, prompts: list[list[int]]) -> None:
    committed = torch.zeros(len(prompts), 24, dtype=torch.bool)
    before = None
    for step in denoise_steps(tiny, prompts, ONE_BY_ONE):
        assert not (committed & step.committed).any()
        if before is not None:
            assert torch.equal(step.tokens[committed], before[committed])
        committed |= step.committed
        assert torch.equal(step.masked, ~committed)
        before = step.tokens
    assert committed.all()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_an_early_stop_leaves_the_text_as_it_is_and_saves_passes(
    tiny: DiffusionModel, prompts: list[list[int]], temperature: float
) -> None:
    whole = spec(length=96, block_length=16, steps=48, temperature=temperature)
    early = whole.model_copy(update={"stop_early": True})
    texts = [[text_of(tiny, ids) for ids in denoise(tiny, prompts, each, 4)] for each in (whole, early)]
    assert texts[0] == texts[1]
    passes = [len(list(denoise_steps(tiny, prompts, each, 4))) for each in (whole, early)]
    assert passes[0] == 48
    assert passes[1] < 48


@pytest.mark.parametrize(
    "changes",
    [{"suppress_eos": "tokens"}, {"sampler": "dream", "remasking": "entropy", "top_p": 0.5, "temperature": 0.7}],
    ids=str,
)
def test_what_is_ruled_out_leaves_every_measure_a_number(
    tiny: DiffusionModel, prompts: list[list[int]], changes: dict[str, Any]
) -> None:
    for step in denoise_steps(tiny, prompts, spec(**changes), top_k=3):
        assert all(values.isfinite().all() for values in step.predictions)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_response_that_may_not_end_does_not(
    tiny: DiffusionModel, prompts: list[list[int]], temperature: float
) -> None:
    sampling = spec(suppress_eos="tokens", temperature=temperature)
    assert not {tiny.eos_id, tiny.end_of_turn_id} & {id_ for ids in denoise(tiny, prompts, sampling) for id_ in ids}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ends_are_committed_last_where_their_confidence_is_suppressed(
    tiny: DiffusionModel, prompts: list[list[int]], temperature: float
) -> None:
    """Within a step, an end is committed only where no other token was there to be."""
    sampling = spec(suppress_eos="confidence", temperature=temperature, steps=48)
    ends = torch.tensor([tiny.eos_id, tiny.end_of_turn_id])
    seen = False
    for step in denoise_steps(tiny, prompts, sampling):
        proposed = torch.zeros_like(step.tokens)
        proposed[step.read] = step.predictions.token
        is_end = torch.isin(proposed, ends) & step.read
        rows = (is_end & step.committed).any(1)
        assert not (step.read & ~is_end)[rows].any()
        seen = seen or bool(rows.any())
    assert seen


def row_steps(steps: list[Step], row: int) -> list[tuple[int, int]]:
    """(step number, tokens committed) of one row."""
    return [(int(step.numbers[row]), int(step.committed[row].sum())) for step in steps if step.committed[row].any()]


def test_a_threshold_commits_what_is_probable_and_the_schedule_at_least(
    tiny: DiffusionModel, prompts: list[list[int]]
) -> None:
    steps = list(denoise_steps(tiny, prompts, spec(steps=48, confidence_threshold=0.9)))
    assert len(steps) < 48
    for step in steps:
        probable = torch.zeros_like(step.read)
        probable[step.read] = step.predictions.probability > 0.9
        expected = probable.sum(1).clamp(min=1)
        active = step.read.any(1)
        assert torch.equal(step.committed.sum(1)[active], expected[active])
    assert denoise(tiny, prompts, spec(steps=48, confidence_threshold=0.9999999)) == denoise(
        tiny, prompts, spec(steps=48)
    )


def test_a_bound_on_entropy_of_nothing_is_one_token_a_step(tiny: DiffusionModel, prompts: list[list[int]]) -> None:
    alone = denoise(tiny, prompts, spec(steps=48))
    assert denoise(tiny, prompts, spec(steps=48, entropy_bound=0.0)) == alone
    steps = list(denoise_steps(tiny, prompts, spec(steps=48, entropy_bound=0.3), top_k=1))
    assert len(steps) < 48
    for step in steps:
        uncertainty = torch.zeros(step.read.shape)
        uncertainty[step.read] = step.predictions.entropy
        for row, committed in zip(uncertainty, step.committed, strict=True):
            values = row[committed]
            assert len(values) < 2 or float(values.sum() - values.max()) <= 0.3 + 1e-6


def test_cached_prefixes_are_exact_within_one_block(tiny: DiffusionModel, prompts: list[list[int]]) -> None:
    """With as many steps as blocks, every pass begins a block and nothing stale is ever read."""
    sampling = spec(length=24, block_length=4, steps=6)
    cached = sampling.model_copy(update={"cache": "prefix"})
    assert denoise(tiny, prompts, cached) == denoise(tiny, prompts, sampling)


def test_a_cached_pass_reads_what_an_attention_over_stale_keys_gives(published: DiffusionModel) -> None:
    """Where only the tail changes and the network has one layer, keys of the prefix cannot go stale: it is exact."""
    network: Any = published.network
    network.config.num_hidden_layers = 1
    network.model.layers = network.model.layers[:1]
    prompts = [list(range(40, 49)), list(range(30, 35))]
    sampling = spec(length=24, block_length=8, steps=24)
    cached = sampling.model_copy(update={"cache": "prefix"})
    assert denoise(published, prompts, cached) == denoise(published, prompts, sampling)


def test_a_model_without_keys_and_values_says_so(tmp_path: Path) -> None:
    model = load_base(str(checkpoints.WRITERS["bert"](tmp_path / "bert")))
    with pytest.raises(SpecError, match="no keys and values") as caught:
        denoise(model, [[5, 6]], spec(length=8, block_length=8, steps=8, cache="prefix"))
    assert caught.value.problems[0].field == "sampling.cache"


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.8}, {"sampler": "dream"}, {"remasking": "random"}], ids=str)
def test_going_on_from_any_step_ends_as_if_it_had_never_stopped(tiny: DiffusionModel, changes: dict[str, Any]) -> None:
    sampling = spec(length=24, block_length=8, steps=12, **changes)
    prompt = Encoder(tiny.tokenizer).prompt(PROMPT)
    steps = list(denoise_steps(tiny, [prompt], sampling, seed=5))
    final = steps[-1].tokens[0].tolist()
    for step, following in pairwise(steps):
        placed = {i: int(step.tokens[0, i]) for i in range(24) if not step.masked[0, i]}
        start = Start(placed=placed, step=int(following.numbers[0]))
        assert denoise(tiny, [prompt], sampling, seed=5, starts=[start])[0] == final


def test_an_edit_is_kept_and_what_follows_may_differ(tiny: DiffusionModel) -> None:
    prompt = Encoder(tiny.tokenizer).prompt(PROMPT)
    steps = list(denoise_steps(tiny, [prompt], ONE_BY_ONE))
    half = steps[11]
    placed = {i: int(half.tokens[0, i]) for i in range(24) if not half.masked[0, i]}
    edited, token = next(iter(placed)), int(steps[-1].tokens[0, -1])
    answer = denoise(tiny, [prompt], ONE_BY_ONE, starts=[Start(placed=placed | {edited: token}, step=12)])[0]
    assert answer[edited] == token
    masked_again = {i: token for i, token in placed.items() if i != edited}
    answer = denoise(tiny, [prompt], ONE_BY_ONE, starts=[Start(placed=masked_again, step=12)])[0]
    assert tiny.mask_id not in answer


def test_a_response_that_is_all_given_needs_no_pass(tiny: DiffusionModel) -> None:
    whole = dict.fromkeys(range(24), 7)
    assert list(denoise_steps(tiny, [[5]], ONE_BY_ONE, starts=[Start(given=whole)])) == []
    assert denoise(tiny, [[5]], ONE_BY_ONE, starts=[Start(given=whole)]) == [[7] * 24]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remasking": "origin"}, "sampler dream"),
        ({"remasking": "random", "confidence_threshold": 0.9}, "needs remasking low_confidence"),
        ({"remasking": "random", "entropy_bound": 0.1}, "order by certainty"),
        ({"entropy_bound": 0.1, "confidence_threshold": 0.9}, "not both"),
        ({"cache": "prefix", "cfg_scale": 1.0}, "cfg_scale"),
        ({"length": 20, "block_length": 8}, "multiple of block_length"),
        ({"temperature": 1e-9}, "temperature is 0 or at least 0.001"),
    ],
)
def test_modes_that_do_not_fit_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec(**changes)
