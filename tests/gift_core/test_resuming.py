"""A run resumes with the inputs it began with, or names what has changed; a finished run has nothing to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gift_core.errors import GiftError, ModelError, SpecError, StoppedError
from gift_core.export import export
from gift_core.finished_run import read_run
from gift_core.models.adapter_files import base_of
from gift_core.models.catalogue import find_model
from gift_core.models.fingerprint import files_digest
from gift_core.models.loading import load_checkpoint
from gift_core.pretraining import PretrainingOptions, pretrain
from gift_core.recovery import is_finished, last_checkpoint, read_inputs, step_of
from gift_core.run import RunOptions, run_training
from gift_core.spec import RunSpec
from tests.gift_core.conftest import Here
from tests.gift_core.hub_cache import COMMIT, NEXT, HubCache

REPOSITORY = "someone/little-base"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    write_rows(path)
    return path


def write_rows(path: Path, first: int = 0, **more: str) -> None:
    rows = [{"prompt": f"{i} and {i + 1} make", "response": str(2 * i + 1), **more} for i in range(first, first + 24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The tiny base as a folder of one's own."""
    return Path(shutil.copytree(find_model("tiny"), tmp_path / "base"))


@pytest.fixture
def spec(rows: Path, base: Path) -> RunSpec:
    """Six steps, a checkpoint after each second one."""
    return RunSpec().replace(
        {
            "model.name": str(base),
            "data.source": {"kind": "file", "dataset": str(rows)},
            "data.held_out": 2,
            "training.adapter": "lora",
            "training.lora.rank": 2,
            "training.epochs": 2,
            "training.batch_size": 8,
            "training.checkpoint_every": 2,
            "training.precision": "fp32",
            "objective.method": "sft",
        }
    )


def stop_after(step: int, spec: RunSpec, directory: Path) -> None:
    seen = {"step": 0}
    options = RunOptions(listener=lambda line: seen.update(step=line["step"]), should_stop=lambda: seen["step"] >= step)
    with pytest.raises(StoppedError, match="stopped after step"):
        run_training(spec, directory, Path, options)


def resume(spec: RunSpec, directory: Path) -> dict[str, object]:
    return run_training(spec, directory, Path, RunOptions(resume=True))


def change_weights(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    weights = load_file(path)
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1
    save_file(weights, path, {"format": "pt"})


def change_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    # Without its last merges it spells some words in other pieces.
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:20]
    path.write_text(json.dumps(tokenizer))


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


def changes(rows: Path, *more: str) -> list[str]:
    given = (
        *(f"data.source={{kind: file, dataset: {rows}}}", "data.held_out=2", "training.epochs=1"),
        *("training.batch_size=12", "evaluation.score=false", *more),
    )
    return [part for change in given for part in ("--set", change)]


def test_a_finished_run_has_nothing_to_do(gift_here: Here, rows: Path) -> None:
    arguments = ["train", "--method", "sft", "--method", "gift", *changes(rows)]
    code, _, complaint = gift_here("train", "--method", "sft", *changes(rows))
    assert code == 0, complaint
    code, trained, said = gift_here(*arguments, "--resume")
    assert code == 0, said
    assert said.count("runs/sft is finished: nothing to do.") == 1
    assert [json.loads(line)["run"] for line in trained.splitlines()] == ["runs/gift"]
    code, trained, said = gift_here(*arguments, "--resume")
    assert (code, trained) == (0, "")
    assert said.splitlines() == [
        f"runs/{name} is finished: nothing to do. Choose another folder to train it again." for name in ("sft", "gift")
    ]


def test_a_finished_run_of_something_else_says_what_differs(gift_here: Here, rows: Path) -> None:
    code, _, complaint = gift_here("train", "--method", "sft", *changes(rows))
    assert code == 0, complaint
    both = ["train", "--method", "gift", "--method", "sft", "--resume"]
    code, trained, said = gift_here(*both, *changes(rows, "training.learning_rate=0.001", "training.adapter=lora"))
    assert (code, trained) == (1, "")
    assert "training.learning_rate: The run in runs/sft was started with 0.0005, and this is 0.001." in said
    assert 'training.adapter: The run in runs/sft was started with "full", and this is "lora".' in said
    assert not Path("runs/gift").exists(), "nothing was trained before"
    write_rows(rows, 1)
    code, trained, said = gift_here(*both, *changes(rows))
    assert (code, trained) == (1, "")
    assert "data.source: runs/sft: The training examples are not those of the run: 22 (SHA-256 " in said
    assert "Traceback" not in said


def test_a_half_done_run_with_other_rows_stops_the_command_before_it_trains(
    gift_here: Here, rows: Path, spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    stop_after(2, spec, tmp_path / "runs" / "sft")
    write_rows(rows, 1)
    code, trained, said = gift_here("train", "spec.yaml", "--method", "gift", "--method", "sft", "--resume")
    assert (code, trained) == (1, "")
    assert "data.source: runs/sft: The training examples" in said
    assert not (tmp_path / "runs" / "gift").exists()
    write_rows(rows)
    code, trained, said = gift_here("train", "spec.yaml", "--method", "sft", "--resume")
    assert code == 0, said
    assert json.loads(trained)["steps"] == 6


def test_a_run_that_left_a_result_when_it_was_stopped_is_not_finished(
    gift_here: Here, spec: RunSpec, tmp_path: Path
) -> None:
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    options = RunOptions(should_stop=lambda: True, save_when_stopped=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, tmp_path / "runs" / "sft", Path, options)
    code, _, said = gift_here("train", "spec.yaml")
    assert (code, "Add --resume" in said) == (1, True)
    code, trained, said = gift_here("train", "spec.yaml", "--resume")
    assert code == 0, said
    assert json.loads(trained)["steps"] == 6


@pytest.mark.slow
def test_a_pretraining_goes_on_only_with_its_own_problems(gift_here: Here, tmp_path: Path) -> None:
    reported: list[int] = []
    stopping = PretrainingOptions(
        lambda line: reported.append(line["step"]), should_stop=lambda: reported[-1] >= 1, scored=1
    )
    with pytest.raises(StoppedError):
        pretrain(tmp_path / "new", 64, options=stopping)
    for arguments, said in (
        ((), "Add --resume"),
        (("--resume", "--examples", "80"), "data.source: new: The training examples are not those of the run: 65 ("),
        (("--resume", "--examples", "64", "--seed", "1"), "seed: The run in new was started with 0, and this is 1."),
    ):
        code, _, complaint = gift_here("pretrain", "new", *arguments)
        assert (code, said in complaint) == (1, True), complaint
    with pytest.raises(GiftError, match="training examples"):
        pretrain(tmp_path / "new", 80, options=PretrainingOptions(resume=True, scored=1))
    pretrain(tmp_path / "new", 64, options=PretrainingOptions(resume=True, scored=1))
    code, scores, said = gift_here("pretrain", "new", "--examples", "64", "--resume")
    assert (code, scores) == (0, "")
    assert said.startswith("new is finished: nothing to do.")
    for arguments, refusal in (((), "already holds a finished run"), (("--resume", "--examples", "80"), "81 (SHA-256")):
        code, _, complaint = gift_here("pretrain", "new", *arguments)
        assert (code, refusal in complaint) == (1, True), complaint


def test_a_run_that_is_refused_keeps_what_it_has_reported(spec: RunSpec, rows: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop_after(4, spec, run)
    newest = max((run / "trainer").glob("checkpoint-*"), key=step_of)
    damage(newest)
    reported = (run / "metrics.jsonl").read_text()
    write_rows(rows, 1)
    with pytest.raises(SpecError, match="training examples"):
        resume(spec, run)
    kept = (run / "metrics.jsonl").read_text()
    assert kept.startswith(reported), "the refused attempt may add that it was loading, and removes nothing"
    assert newest.exists()


def test_a_stopped_run_whose_checkpoints_are_damaged_is_not_taken_for_finished(
    spec: RunSpec, tmp_path: Path, gift_here: Here
) -> None:
    run, written = tmp_path / "out" / "sft", tmp_path / "spec.yaml"
    written.write_text(spec.to_yaml())
    stopped = RunOptions(should_stop=lambda: True, save_when_stopped=lambda: True)
    with pytest.raises(StoppedError):
        run_training(spec, run, Path, stopped)
    assert (run / "result.json").exists()
    kept = (run / "checkpoint" / "adapter_model.safetensors").read_bytes()
    for checkpoint in (run / "trainer").glob("checkpoint-*"):
        damage(checkpoint)
    assert not is_finished(run)
    for more in ([], ["--resume"]):
        code, _, complaint = gift_here("train", str(written), "--method", "sft", "--output", str(run.parent), *more)
        assert code == 1
        assert "none of its checkpoints is whole any more" in " ".join(complaint.split())
        assert "nothing to do" not in complaint
    with pytest.raises(SpecError, match="none of its checkpoints is whole any more"):
        resume(spec, run)
    assert (run / "checkpoint" / "adapter_model.safetensors").read_bytes() == kept, "what it has learned is still there"


def damage(checkpoint: Path) -> None:
    optimiser = checkpoint / "optimizer.pt"
    optimiser.write_bytes(optimiser.read_bytes()[:-1])
