"""Scores on disk: found again, shared by processes, never half written."""

from __future__ import annotations

import signal
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from gift_core.data.collation import NoisyExample, collate
from gift_core.data.tokenisation import TokenisedExample
from gift_core.models.fingerprint import fingerprint
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.scores import CacheReport, ScoreCache, batch_of, fill, probe, rows_of
from tests import forked

EXAMPLES = [TokenisedExample(i, tuple(range(10, 22 + i)), prompt_length=6, tail_length=1) for i in range(12)]


def write(folder: Path) -> ScoreCache:
    cache = ScoreCache(folder)
    for i in range(40):
        cache.put(TokenisedExample(i, (1, 2, i), 1, 0), np.full((2, 2), i))
        cache.flush()
    return cache


def write_and_begin_another(folder: Path, done: Connection) -> None:
    write(folder).put(TokenisedExample(999, (9,), 0, 0), np.zeros((2, 1)))
    done.send("done")
    signal.pause()


def scores_of(example: TokenisedExample) -> np.ndarray:
    return np.arange(2 * example.response_length, dtype=np.float32).reshape(2, -1) + example.id


def test_what_was_put_is_found_by_another_process(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    for example in EXAMPLES:
        cache.put(example, scores_of(example))
        assert np.array_equal(cache.get(example), scores_of(example)), "even before it is written"
    cache.flush()
    other = ScoreCache(tmp_path)
    assert all(np.array_equal(other.get(example), scores_of(example)) for example in EXAMPLES)


def test_the_key_is_what_the_scores_depend_on() -> None:
    example = EXAMPLES[0]
    assert ScoreCache.key(example) == ScoreCache.key(replace(example, id=99)), "which row it is does not matter"
    assert ScoreCache.key(example) != ScoreCache.key(replace(example, prompt_length=5))
    assert ScoreCache.key(example) != ScoreCache.key(replace(example, input_ids=(*example.input_ids, 1)))


def test_a_file_cut_short_counts_as_not_there_and_is_replaced(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put(EXAMPLES[0], scores_of(EXAMPLES[0]))
    cache.flush()
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    torn = ScoreCache(tmp_path)
    assert torn.get(EXAMPLES[0]) is None
    torn.put(EXAMPLES[0], scores_of(EXAMPLES[0]))
    torn.flush()
    assert np.array_equal(ScoreCache(tmp_path).get(EXAMPLES[0]), scores_of(EXAMPLES[0]))


def test_what_others_write_is_seen_after_a_reload(tmp_path: Path) -> None:
    reader, writer = ScoreCache(tmp_path), ScoreCache(tmp_path)
    writer.put(EXAMPLES[0], scores_of(EXAMPLES[0]))
    writer.flush()
    assert EXAMPLES[0] not in reader
    reader.reload()
    assert EXAMPLES[0] in reader


def test_processes_that_write_the_same_at_once_do_no_harm(tmp_path: Path) -> None:
    writers = [forked.start(write, tmp_path) for _ in range(2)]
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    cache = ScoreCache(tmp_path)
    for i in range(40):
        found = cache.get(TokenisedExample(i, (1, 2, i), 1, 0))
        assert found is not None
        assert (found == i).all()
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".safetensors"], "nothing is left beside"


def test_a_writer_that_is_killed_leaves_what_it_had_finished(tmp_path: Path) -> None:
    writer, said = forked.start_telling(write_and_begin_another, tmp_path)
    assert said.recv() == "done"
    writer.kill()
    writer.join()
    cache = ScoreCache(tmp_path)
    assert cache.get(TokenisedExample(39, (1, 2, 39), 1, 0)) is not None
    assert cache.get(TokenisedExample(999, (9,), 0, 0)) is None


def test_only_what_is_missing_is_probed_and_every_process_takes_its_share(tiny: DiffusionModel, tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    assert fill(cache, tiny, EXAMPLES[:5], 2, autocast=False) == CacheReport(5, 0)
    again = [*EXAMPLES, replace(EXAMPLES[0], id=77)]
    assert fill(cache, tiny, again, 2, autocast=False) == CacheReport(7, 5), "equal examples are probed once"
    shares = [ScoreCache(tmp_path / "shared") for _ in range(2)]
    seen: list[tuple[int, int]] = []
    for rank, share in enumerate(shares):
        # The second has seen what the first wrote, as it does when it starts later.
        share.reload()
        fill(
            share,
            tiny,
            EXAMPLES,
            5,
            autocast=False,
            rank=rank,
            world_size=2,
            on_progress=lambda done, total: seen.append((done, total)),
        )
    assert seen[:2] == [(5, 6), (6, 6)]
    together = ScoreCache(tmp_path / "shared")
    assert all(example in together for example in EXAMPLES)


def test_a_probe_masks_all_of_the_response_and_nothing_else(tiny: DiffusionModel) -> None:
    items = [NoisyExample(example, 0.5, np.ones(example.response_length, np.float32)) for example in EXAMPLES[:3]]
    batch = collate(items, tiny.eos_id)
    (scores,) = probe(tiny, tiny.network, [batch], autocast=False)
    for row, example in enumerate(EXAMPLES[:3]):
        ids = torch.tensor([example.input_ids])
        ids[0, example.prompt_length :] = tiny.mask_id
        with torch.no_grad():
            log_p = tiny.network(ids).logits[0, example.prompt_length :].double().log_softmax(-1)
        truth = torch.tensor(example.input_ids[example.prompt_length :])
        found = torch.from_numpy(rows_of(batch, scores)[row]).double()
        torch.testing.assert_close(found[0], -(log_p.exp() * log_p).sum(-1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[1], -log_p.gather(1, truth[:, None])[:, 0], rtol=1e-4, atol=1e-4)
    assert torch.equal(batch_of(batch, rows_of(batch, scores)), scores)
    assert not scores[:, ~batch.response_mask].any()


@pytest.mark.parametrize("part", ["weight", "config", "mask"])
def test_a_fingerprint_changes_with_whatever_changes_the_model(tiny: DiffusionModel, part: str) -> None:
    before = fingerprint(tiny)
    assert fingerprint(load_base("tiny")) == before
    if part == "weight":
        with torch.no_grad():
            tiny.network.lm_head.weight[3, 5] += 1e-6
    elif part == "config":
        tiny.network.config.rms_norm_eps *= 2
    else:
        tiny = replace(tiny, mask_id=0)
    assert fingerprint(tiny) != before
