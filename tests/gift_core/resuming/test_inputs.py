"""A run resumes with the inputs it began with, or names what has changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gift_core.errors import ModelError, SpecError, StoppedError
from gift_core.export import export
from gift_core.finished_run import read_run
from gift_core.models.adapter_files import base_of
from gift_core.models.fingerprint import files_digest
from gift_core.models.loading import load_checkpoint
from gift_core.recovery import last_checkpoint, read_inputs
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests.gift_core.hub_cache import COMMIT, NEXT, HubCache
from tests.gift_core.resuming.interrupted import (
    change_tokenizer,
    change_weights,
    resume,
    stop_after,
    write_rows,
)

REPOSITORY = "someone/little-base"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (lambda rows, _: write_rows(rows, 1), "data.source", "training examples"),
        (
            lambda rows, _: rows.write_text(rows.read_text() + rows.read_text()[:60].splitlines()[0] + "\n"),
            "data.source",
            "22",
        ),
        (lambda _, base: change_weights(base), "model.name", "weights of the base model have changed"),
        (lambda _, base: change_tokenizer(base), "model.name", "tokenizer or the chat template"),
    ],
)
def test_what_a_run_began_with_is_looked_at(
    spec: RunSpec, rows: Path, base: Path, tmp_path: Path, change: Callable[[Path, Path], None], field: str, said: str
) -> None:
    run = tmp_path / "run"
    stop_after(2, spec, run)
    stood = last_checkpoint(run)
    kept = {path: path.read_bytes() for path in (rows, *base.iterdir())}
    change(rows, base)
    with pytest.raises(SpecError) as refused:
        resume(spec, run)
    problems = refused.value.problems
    assert {problem.field for problem in problems} == {field}
    assert said in problems[0].message
    assert " then, " in problems[0].message
    assert " now" in problems[0].message
    assert problems[0].remedy
    assert last_checkpoint(run) == stood, "nothing is lost by the attempt"
    for path, content in kept.items():
        path.write_bytes(content)
    assert resume(spec, run)["steps"] == 6


def test_what_is_not_read_may_change(spec: RunSpec, rows: Path, base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(2, spec, run)
    write_rows(rows, note="not used")
    (base / "README.md").write_text("Moved.")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert resume(spec, run)["steps"] == 6


def test_the_weights_that_it_starts_from_are_looked_at(spec: RunSpec, tmp_path: Path) -> None:
    run_training(spec, tmp_path / "first", Path)
    more = spec.replace({"model.start_from": str(tmp_path / "first")})
    stop_after(2, more, tmp_path / "run")
    change_weights(tmp_path / "first" / "checkpoint")
    with pytest.raises(SpecError, match="starts from have changed") as refused:
        resume(more, tmp_path / "run")
    assert [problem.field for problem in refused.value.problems] == ["model.start_from"]


def test_a_run_of_an_earlier_version_is_resumed(spec: RunSpec, rows: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(2, spec, run)
    (run / "trainer" / "inputs.json").unlink()
    stop_again = RunOptions(resume=True, should_stop=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, run, Path, stop_again)
    write_rows(rows, 1)
    with pytest.raises(SpecError, match="training examples"):
        resume(spec, run)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubCache:
    return HubCache(tmp_path / "cache", monkeypatch)


def test_a_base_of_the_hub_keeps_its_commit(spec: RunSpec, base: Path, cache: HubCache, tmp_path: Path) -> None:
    cache.put(REPOSITORY, base)
    of_hub, pinned = spec.replace({"model.name": REPOSITORY}), f"{REPOSITORY}@{COMMIT}"
    stop_after(2, of_hub, tmp_path / "run")
    run_training(of_hub, tmp_path / "whole", Path)
    change_weights(base)
    cache.put(REPOSITORY, base, NEXT)
    result = resume(of_hub, tmp_path / "run")
    assert result["base"] == pinned
    one, other = (load_file(tmp_path / name / "checkpoint" / "adapter_model.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    # A new run takes the new commit.
    assert run_training(of_hub, tmp_path / "new", Path)["base"] == f"{REPOSITORY}@{NEXT}"


def test_an_adapter_of_the_hub_names_repository_and_commit(
    spec: RunSpec, base: Path, cache: HubCache, tmp_path: Path
) -> None:
    cache.put(REPOSITORY, base)
    run, pinned = tmp_path / "run", f"{REPOSITORY}@{COMMIT}"
    run_training(spec.replace({"model.name": REPOSITORY}), run, Path)
    found = read_run(run)
    assert found.result.base == pinned
    assert found.result.provenance
    assert (found.result.provenance.base, found.result.provenance.weights) == (pinned, None)
    assert base_of(run / "checkpoint") == pinned
    export(run, tmp_path / "out")
    for folder in (run / "checkpoint", tmp_path / "out"):
        config = json.loads((folder / "adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == (REPOSITORY, COMMIT)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"base_model: {REPOSITORY}\n" in card
    assert f"trained from `{pinned}`" in card
    assert f"load_base('{pinned}')" in card
    assert json.loads((tmp_path / "out" / "gift-export.json").read_text())["result"]["base"] == pinned
    # It goes on as what it is, and is still of that commit.
    more = spec.replace({"model.name": REPOSITORY, "model.start_from": str(run)})
    assert run_training(more, tmp_path / "more", Path)["base"] == pinned
    assert base_of(tmp_path / "more" / "checkpoint") == pinned


def test_all_weights_of_the_hub_and_what_starts_from_them_name_the_commit(
    spec: RunSpec, base: Path, cache: HubCache, tmp_path: Path
) -> None:
    cache.put(REPOSITORY, base)
    whole, pinned = spec.replace({"model.name": REPOSITORY, "training.adapter": "full"}), f"{REPOSITORY}@{COMMIT}"
    assert run_training(whole, tmp_path / "first", Path)["base"] == pinned
    # Whatever its spec calls the base, these are the weights of the other run.
    more = whole.replace({"model.name": "tiny", "model.start_from": str(tmp_path / "first")})
    run_training(more, tmp_path / "second", Path)
    assert read_run(tmp_path / "second").base.name == pinned


def test_an_adapter_of_a_folder_is_found_from_anywhere(
    spec: RunSpec, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = spec.replace({"model.name": base.name})
    run_training(relative, Path("run"), Path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_checkpoint(tmp_path / "run" / "checkpoint").network.dtype == torch.float32
    # An adapter of an earlier version has the name as it was typed.
    monkeypatch.chdir(tmp_path)
    config = json.loads(Path("run/checkpoint/adapter_config.json").read_text())
    Path("run/checkpoint/adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base.name}))
    assert run_training(relative.replace({"model.start_from": "run"}), Path("more"), Path)["base"] == str(base)


def test_a_commit_that_is_no_longer_here_is_asked_for(
    spec: RunSpec, base: Path, cache: HubCache, tmp_path: Path
) -> None:
    snapshot = cache.put(REPOSITORY, base)
    of_hub = spec.replace({"model.name": REPOSITORY})
    stop_after(2, of_hub, tmp_path / "run")
    shutil.rmtree(snapshot)
    cache.put(REPOSITORY, base, NEXT)
    with pytest.raises(ModelError, match=f"gift download {REPOSITORY}@{COMMIT}"):
        resume(of_hub, tmp_path / "run")


def test_a_run_that_was_stopped_with_its_weights_kept_records_what_it_is_made_from(
    spec: RunSpec, tmp_path: Path
) -> None:
    options = RunOptions(should_stop=lambda: True, save_when_stopped=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, tmp_path / "run", Path, options)
    found = read_run(tmp_path / "run")
    assert found.result.base == spec.model.name
    assert found.result.provenance == read_inputs(tmp_path / "run")


def test_what_is_compared_of_a_folder_is_its_config_and_its_weights(base: Path) -> None:
    before = files_digest(base)
    change_tokenizer(base)
    (base / "consolidated.safetensors").write_bytes(b"not read")
    assert files_digest(base) == before
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert files_digest(base) != before
