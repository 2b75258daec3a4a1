"""The lm-evaluation-harness, run for real on the tiny base. Left out where the extra `harness` is not installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from typer.testing import CliRunner

from gift_core.cli import app
from gift_core.data.sources import task_problems
from gift_core.data.tokenisation import Encoder
from gift_core.data_spec import TaskSource
from gift_core.errors import GiftError, SpecError
from gift_core.harness import GiftLM, cut
from gift_core.likelihood import log_likelihood_bound
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks.task import answer_in

PROBLEMS = task_problems(TaskSource(task="sudoku", difficulty="easy", examples=1), 4)[1]
GENERATE = """
task: gift_generate
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["</answer>"], max_gen_toks: 40}
filter_list:
  - name: answer
    filter:
      - {function: regex, regex_pattern: "<answer>([0-9\\\\s]*)"}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
CHOOSE = """
task: gift_choose
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: 0
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Two local tasks of four items."""
    items = tmp_path / "items.jsonl"
    rows = [
        {
            "question": problem.prompt,
            "answer": problem.answer,
            "choices": [problem.response, problem.response.replace("1", "2")],
        }
        for problem in PROBLEMS
    ]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"dataset_path": "json", "test_split": "test", "dataset_kwargs": {"data_files": {"test": str(items)}}}
    source["dataset_kwargs"] |= {"cache_dir": str(tmp_path / "cache")}  # type: ignore[operator]
    for name, text in (("generate", GENERATE), ("choose", CHOOSE)):
        lines = [f"{key}: {json.dumps(value)}" for key, value in source.items()]
        (tmp_path / f"{name}.yaml").write_text(text + "\n".join(lines) + "\n")
    return tmp_path


def evaluated(tasks: Path, task: str, **arguments: Any) -> dict[str, Any]:
    found = simple_evaluate(
        model="gift",
        model_args={"pretrained": "tiny", **arguments},
        tasks=[task],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        batch_size=3,
        bootstrap_iters=0,
    )
    assert found is not None
    return dict(found)


def test_generation_is_the_denoisers_and_is_cut_where_the_task_says(tiny: DiffusionModel, tasks: Path) -> None:
    found = evaluated(tasks, "gift_generate")
    samples = sorted(found["samples"]["gift_generate"], key=lambda sample: sample["doc_id"])
    encoder = Encoder(tiny.tokenizer)
    prompts = [encoder.prompt(problem.prompt) for problem in PROBLEMS]
    # Forty tokens are wanted: one block.
    block = tiny.family.sampling.block_length
    written = denoise(tiny, prompts, SamplingSpec(length=block, block_length=block, steps=block))
    texts = [text_of(tiny, ids) for ids in written]
    assert [sample["resps"][0][0] for sample in samples] == [text.split("</answer>")[0] for text in texts]
    solved = [answer_in(text) == problem.answer for text, problem in zip(texts, PROBLEMS, strict=True)]
    assert found["results"]["gift_generate"]["exact_match,answer"] == sum(solved) / 4
    assert any(solved)


def test_choices_are_compared_by_their_bounds(tiny: DiffusionModel, tasks: Path) -> None:
    found = evaluated(tasks, "gift_choose", mc_samples=8)
    assert found["results"]["gift_choose"]["acc,none"] == 1, "a grid with two equal digits in a row is no solution"
    sample = found["samples"]["gift_choose"][0]
    problem = PROBLEMS[sample["doc_id"]]
    encoder = Encoder(tiny.tokenizer)
    expected = log_likelihood_bound(
        tiny, encoder.prompt(problem.prompt), encoder.text(problem.response), samples=8, seed=0, rows=8
    )
    assert float(sample["resps"][0][0][0]) == pytest.approx(expected, rel=1e-4)
    assert found["config"]["gift"]["mc_samples"] == 8


def test_the_command_runs_it(tasks: Path) -> None:
    arguments = ["--model_args", "pretrained=tiny", "--include_path", str(tasks), "--output_path", str(tasks / "out")]
    done = CliRunner().invoke(app, ["lm-eval", *arguments, "--tasks", "gift_generate", "--batch_size", "4"])
    assert done.exit_code == 0, done.output
    (results,) = tasks.glob("out/**/results_*.json")
    assert "exact_match,answer" in json.loads(results.read_text())["results"]["gift_generate"]
    assert "lm_eval" not in sys.argv


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"pretrained": "tiny", "mc_sample": 4}, "mc_sample"),
        ({"pretrained": "tiny", "trust_remote_code": True}, "trust_remote_code"),
        ({"pretrained": "nothing"}, "model.name"),
        ({}, "pretrained"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(GiftError) as caught:
        GiftLM(**arguments)
    assert caught.value.problems[0].field == field


def test_what_a_diffusion_model_cannot_do_is_refused() -> None:
    model = GiftLM(pretrained="tiny")
    with pytest.raises(SpecError):
        model.loglikelihood_rolling([])
    with pytest.raises(SpecError):
        model.apply_chat_template([])


def test_text_ends_at_the_first_of_the_strings() -> None:
    assert cut("one two three", ["three", " two", ""]) == "one"
    assert cut("one", ["two"]) == "one"
