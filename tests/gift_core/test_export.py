"""What is exported computes what the run computed, loads where the card says, and tells nothing about the machine."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from gift_core.data.fingerprint import examples_digest
from gift_core.data.sources import load_split
from gift_core.errors import SpecError
from gift_core.export import ExportOptions, export, files_of
from gift_core.finished_run import read_run
from gift_core.models.catalogue import find_model
from gift_core.models.fingerprint import files_digest
from gift_core.models.loading import load_base, load_checkpoint, open_checkpoint
from gift_core.run import run_training
from gift_core.spec import RunSpec
from tests import forked
from tests.gift_core import checkpoints
from tests.gift_core.conftest import adapter_spec

MERGED, PUBLISHED = ExportOptions("merged"), ExportOptions("published")


@torch.no_grad()
def logits(network: Any) -> torch.Tensor:
    return network.eval()(torch.arange(5, 40)[None]).logits


@pytest.fixture(scope="module")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all weights on a built-in task, with its score."""
    directory = tmp_path_factory.mktemp("runs") / "sft"
    small = {"data.source.examples": 16, "data.held_out": 4, "training.epochs": 1, "training.batch_size": 16}
    run_training(RunSpec().replace({**small, "objective.method": "sft"}), directory, Path)
    return directory


@pytest.fixture(scope="module")
def llada_run(tmp_path_factory: pytest.TempPathFactory, rows_file: Path) -> Path:
    """A finished LoRA run on a LLaDA with random weights, in a folder whose name must not leave the machine."""
    folder = checkpoints.write_llada(tmp_path_factory.mktemp("private-models") / "little-llada")
    directory = tmp_path_factory.mktemp("runs") / "llada"
    spec = adapter_spec(rows_file).replace({"model.name": str(folder), "data.max_length": 128})
    run_training(spec, directory, Path)
    return directory


def assert_equal_but_rounding(one: torch.Tensor, other: torch.Tensor) -> None:
    """Whether an adapter is merged or computed beside its base decides how fp32 rounds."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_an_adapter_gives_the_runs_logits_with_plain_peft(adapter_run: Path, tmp_path: Path) -> None:
    assert export(adapter_run, tmp_path / "out").layout == "adapter"
    base = AutoModelForCausalLM.from_pretrained(find_model("tiny"))
    untrained = logits(base)
    exported = logits(PeftModel.from_pretrained(base, tmp_path / "out"))
    own = PeftModel.from_pretrained(load_base("tiny").network, adapter_run / "checkpoint")
    assert torch.equal(exported, logits(own))
    assert_equal_but_rounding(exported, logits(load_checkpoint(adapter_run / "checkpoint").network))
    assert (exported - untrained).abs().max() > 0.01


@pytest.mark.parametrize("fixture", ["adapter_run", "full_run", "llada_run"])
def test_merged_weights_give_the_runs_logits_with_plain_transformers(
    fixture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(fixture)
    export(run, tmp_path / "out", MERGED)
    own = load_checkpoint(run / "checkpoint")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(plain), logits(own.network))
    text = "3 and 4 make 7<|eot|>"
    assert AutoTokenizer.from_pretrained(tmp_path / "out").encode(text) == own.tokenizer.encode(text)


def test_all_weights_are_exported_whole_and_on_request_in_half_the_bytes(full_run: Path, tmp_path: Path) -> None:
    assert export(full_run, tmp_path / "as-trained").layout == "merged"
    export(full_run, tmp_path / "half", ExportOptions(dtype="bf16"))
    whole, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("as-trained", "half"))
    assert half < 0.51 * whole
    halved = AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto")
    assert halved.dtype == torch.bfloat16
    own = logits(load_checkpoint(full_run / "checkpoint").network)
    torch.testing.assert_close(logits(halved.float()), own, rtol=0.05, atol=0.3)
    assert "(bfloat16)" in (tmp_path / "half" / "README.md").read_text()


def test_the_published_layout_is_the_authors_and_gives_the_runs_logits(llada_run: Path, tmp_path: Path) -> None:
    export(llada_run, tmp_path / "out", PUBLISHED)
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as weights:
        assert "model.transformer.blocks.1.attn_out.weight" in weights.keys()  # noqa: SIM118 - no mapping
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["d_model"]) == ("llada", checkpoints.WIDTH)
    own = load_checkpoint(llada_run / "checkpoint")
    assert torch.equal(logits(load_checkpoint(tmp_path / "out").network), logits(own.network))


def test_gift_opens_an_exported_adapter_like_the_run(adapter_run: Path, tmp_path: Path) -> None:
    export(adapter_run, tmp_path / "out")
    exported, own = open_checkpoint(str(tmp_path / "out")), open_checkpoint(str(adapter_run))
    assert torch.equal(logits(exported.network), logits(own.network))


@pytest.mark.parametrize(
    ("fixture", "options"),
    [("adapter_run", None), ("adapter_run", MERGED), ("full_run", None), ("llada_run", PUBLISHED)],
)
def test_the_cards_snippet_loads_the_export(
    fixture: str,
    options: ExportOptions | None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = request.getfixturevalue(fixture)
    export(run, tmp_path / "out", options)
    snippet = re.search(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    assert snippet
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, Any] = {}
    exec(snippet[1], names)
    own = load_checkpoint(run / "checkpoint")
    assert_equal_but_rounding(logits(names["network"]), logits(own.network))
    assert names["tokenizer"].mask_token_id == own.mask_id


@pytest.mark.parametrize("options", [ExportOptions("adapter"), MERGED, PUBLISHED])
def test_nothing_exported_names_a_folder_of_this_machine(
    options: ExportOptions, llada_run: Path, tmp_path: Path
) -> None:
    export(llada_run, tmp_path / "out", options)
    for name in files_of(tmp_path / "out"):
        written = (tmp_path / "out" / name).read_bytes()
        assert b"private-" not in written, name
        assert str(tmp_path).encode() not in written, name
    card = (tmp_path / "out" / "README.md").read_text()
    assert "dataset: rows.jsonl" in card
    assert "path/to/little-llada" in card


def test_a_run_records_its_examples_its_base_and_the_versions(adapter_run: Path) -> None:
    run = read_run(adapter_run)
    provenance = run.result.provenance
    assert provenance
    split = load_split(run.spec.data, Path)
    assert provenance.training.sha256 == examples_digest(split.training)
    assert (provenance.training.examples, provenance.held_out.examples) == (22, 2)
    assert (run.result.base, run.base.name, provenance.base) == ("tiny", "tiny", "tiny")
    assert provenance.weights == files_digest(find_model("tiny"))
    assert set(provenance.versions) >= {"torch", "transformers", "peft"}
    others = [*split.training[:-1], split.held_out[0]]
    assert examples_digest(others) != provenance.training.sha256


def test_an_earlier_export_of_the_run_is_replaced_and_leaves_nothing_behind(adapter_run: Path, tmp_path: Path) -> None:
    export(adapter_run, tmp_path / "out", MERGED)
    export(adapter_run, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_export_left_goes_with_the_next_and_one_under_way_stays(
    adapter_run: Path, tmp_path: Path
) -> None:
    left, under_way, own = (tmp_path / f".out.{suffix}" for suffix in (forked.dead(), os.getppid(), "notes"))
    for folder in (left, under_way, own):
        folder.mkdir()
    export(adapter_run, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", under_way.name, own.name}


def other_file(target: Path, _: Path) -> None:
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")


def other_run(target: Path, full_run: Path) -> None:
    export(full_run, target)


def export_with_notes(target: Path, run: Path) -> None:
    export(run, target)
    record = json.loads((target / "gift-export.json").read_text())
    assert "README.md" in record["files"]
    (target / "thesis.tex").write_text("years of work")


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [(other_file, "not an export"), (other_run, "another run"), (export_with_notes, "thesis.tex")],
)
def test_nothing_else_is_replaced(
    prepare: Callable[[Path, Path], None], expected: str, full_run: Path, adapter_run: Path, tmp_path: Path
) -> None:
    prepare(tmp_path / "out", full_run)
    before = files_of(tmp_path / "out")
    run = full_run if prepare is export_with_notes else adapter_run
    with pytest.raises(SpecError, match=expected) as caught:
        export(run, tmp_path / "out")
    assert caught.value.problems[0].remedy
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("fixture", "options", "field", "remedy"),
    [
        ("full_run", ExportOptions("adapter"), "layout", "merged"),
        ("full_run", PUBLISHED, "layout", "merged"),
        ("adapter_run", ExportOptions(dtype="bf16"), "dtype", "merged"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_left(
    fixture: str, options: ExportOptions, field: str, remedy: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(SpecError) as caught:
        export(request.getfixturevalue(fixture), tmp_path / "out", options)
    assert (caught.value.problems[0].field, list(tmp_path.iterdir())) == (field, [])
    assert remedy in caught.value.problems[0].remedy


def test_a_run_that_has_not_finished_says_how_to_go_on(adapter_run: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no run"):
        export(tmp_path, tmp_path / "out")
    shutil.copytree(adapter_run, tmp_path / "run", ignore=shutil.ignore_patterns("result.json"))
    with pytest.raises(SpecError, match="--resume"):
        export(tmp_path / "run", tmp_path / "out")
