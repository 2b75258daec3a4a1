"""Evaluations: answers that are saved as they come, gone on with, and scored from what was saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gift_core.data.tokenisation import Encoder
from gift_core.errors import SpecError, StoppedError
from gift_core.evaluation import check_lengths, generate, score_task
from gift_core.evaluation_document import EvaluationHeader, Generation
from gift_core.evaluation_files import alone_in, begin
from gift_core.evaluation_report import Evaluation, compare_evaluations
from gift_core.evaluation_run import EvaluationOptions, EvaluationProgress, evaluate
from gift_core.evaluation_spec import PROTOCOL, EvaluationPlan
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import denoise, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks.items import Item, fingerprint
from gift_core.tasks.registry import EVALUATION_TASKS, TASKS
from tests.gift_core.conftest import Here

SMALL: dict[str, Any] = {"task": "word_problems", "source": {"kind": "generated", "count": 10}}


def plan(**changes: Any) -> EvaluationPlan:
    return EvaluationPlan.parse(SMALL | changes)


def run(
    model: DiffusionModel, directory: Path, asked: EvaluationPlan | None = None, **options: Any
) -> list[EvaluationProgress]:
    seen: list[EvaluationProgress] = []
    settings = {"batch": 4, "on_progress": seen.append} | options
    evaluate(model, "tiny", asked or plan(), directory, EvaluationOptions(**settings))
    return seen


def items_of(task: Any, count: int) -> list[Item]:
    return EVALUATION_TASKS[task].items(plan(task=task, source={"kind": "generated", "count": count}).source)  # type: ignore[arg-type]


# Answers


def test_an_answer_is_what_denoising_its_prompt_gives_whatever_the_batch(tiny: DiffusionModel) -> None:
    items = items_of("word_problems", 6)
    by_size = [
        {each.item: each for part in generate(tiny, items, SamplingSpec(), batch=size) for each in part}
        for size in (1, 4)
    ]
    assert by_size[0] == by_size[1]
    for item in items:
        ids = denoise(tiny, [Encoder(tiny.tokenizer).prompt(item.prompt)], SamplingSpec())[0]
        answer = by_size[0][item.id]
        assert answer.response == text_of(tiny, ids)
        assert answer.ended
        assert len(Encoder(tiny.tokenizer).text(answer.response)) == answer.tokens
        assert answer.passes == 24


def test_what_an_item_gives_of_the_response_is_part_of_it_and_not_counted(tiny: DiffusionModel) -> None:
    item = Item("x/0", items_of("word_problems", 1)[0].prompt, "7", prefill="<reasoning>First,")
    ((answer,),) = generate(tiny, [item], SamplingSpec())
    assert answer.response.startswith("<reasoning>First,")
    assert answer.response.count("<reasoning>") == 1
    assert answer.tokens < len(Encoder(tiny.tokenizer).text(answer.response))


def test_items_that_do_not_fit_are_named(tiny: DiffusionModel) -> None:
    items = [Item("a/0", "1", "1"), *(Item(f"a/{i}", "9" * 1000, "1") for i in range(1, 20))]
    with pytest.raises(SpecError, match="19 of 20 items do not fit") as caught:
        check_lengths(tiny, items, SamplingSpec().length)
    assert [problem.field for problem in caught.value.problems] == [
        *(f"a/{i}" for i in range(1, 11)),
        "sampling.length",
    ]


# Folders


def test_answers_are_saved_and_scored_from_what_was_saved(tiny: DiffusionModel, tmp_path: Path) -> None:
    seen = run(tiny, tmp_path)
    assert [(each.done, each.total) for each in seen] == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert seen[0].eta_seconds is None
    assert seen[-1].eta_seconds == 0
    (condition,) = Evaluation.read(tmp_path).result().conditions
    problems = TASKS["word_problems"].generate(0, "standard", 0, 10)[1]
    assert asdict(condition.solved) == score_task(tiny, TASKS["word_problems"], problems, SamplingSpec())
    assert condition.solved.correct == seen[-1].solved > 0
    assert condition.solved.low < condition.solved.share < condition.solved.high


def test_what_was_stopped_goes_on_and_ends_in_the_same_answers(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path / "whole")
    with pytest.raises(StoppedError, match="Stopped after 4 of 10"):
        run(tiny, tmp_path / "parts", should_stop=lambda: True)
    seen = run(tiny, tmp_path / "parts", batch=3)
    assert seen[0].done == 4
    whole, parts = (Evaluation.read(tmp_path / name) for name in ("whole", "parts"))
    assert whole.generations == parts.generations
    assert run(tiny, tmp_path / "parts")[0].done == 10, "there is nothing left to ask"


def test_half_a_line_of_a_process_that_died_is_asked_again(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    path = tmp_path / "generations-48-0.jsonl"
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("response") + 20])
    assert run(tiny, tmp_path)[0].done == 9
    assert sorted(path.read_text().splitlines()) == sorted(whole.splitlines())


def test_lines_of_other_lists_are_not_answers(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    before = Evaluation.read(tmp_path).result()
    with (tmp_path / "generations-48-0.jsonl").open("a") as file:
        file.write(json.dumps(asdict(answer(0, "nonsense"))) + "\n")
    assert Evaluation.read(tmp_path).result() == before
    assert run(tiny, tmp_path)[0].done == 10


def test_two_processes_do_not_answer_into_one_folder(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    with alone_in(tmp_path), pytest.raises(SpecError, match="Another process evaluates into"):
        run(tiny, tmp_path)
    run(tiny, tmp_path)


def test_what_cannot_be_asked_leaves_no_folder(tiny: DiffusionModel, tmp_path: Path) -> None:
    for refused in (plan(lengths=[5]), plan(lengths=[1008])):
        with pytest.raises(SpecError):
            run(tiny, tmp_path / "new", refused)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_another_evaluation_is_left_alone(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.js*")}
    for other, differing in (
        (plan(source={"kind": "generated", "count": 11}), "items_fingerprint, plan"),
        (plan(sampling=SamplingSpec(steps=12)), "plan"),
    ):
        with pytest.raises(SpecError, match=f"holds another evaluation: {differing} differ") as caught:
            run(tiny, tmp_path, other)
        assert caught.value.problems[0].field == "--output"
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.js*")} == before


def test_items_that_were_changed_are_noticed(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    rows[3]["expected"] = "999"
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SpecError, match="not those that were asked"):
        Evaluation.read(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_a_folder_without_an_evaluation_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(SpecError, match="holds no evaluation that can be read"):
        Evaluation.read(tmp_path)


def test_a_record_says_what_it_is_of(tiny: DiffusionModel, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    header = Evaluation.read(tmp_path).result().header
    assert header.items == 10
    assert header.plan == plan()
    assert len(header.model_fingerprint) == len(header.items_fingerprint) == 64
    assert {"torch", "transformers"} <= set(header.versions)


# How responses end


def written(directory: Path, answers: Sequence[Generation], count: int = 4, **changes: Any) -> Evaluation:
    """An evaluation whose answers are these."""
    asked = plan(task="gsm8k", source={"kind": "file", "path": str(directory / "rows.jsonl")}, **changes)
    directory.mkdir(parents=True, exist_ok=True)
    rows = [{"question": f"{i}?", "answer": f"#### {i}"} for i in range(count)]
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = asked.evaluation_task.items(asked.source)  # type: ignore[arg-type]
    header = EvaluationHeader(
        model="m",
        model_fingerprint="f",
        plan=asked,
        items=len(items),
        items_fingerprint=fingerprint(items),
        versions={},
    )
    begin(directory, header, items)
    for sampling, seed in asked.conditions():
        lines = "".join(json.dumps(asdict(each)) + "\n" for each in answers)
        (directory / f"generations-{sampling.length}-{seed}.jsonl").write_text(lines)
    return Evaluation.read(directory)


def answer(number: int, response: str, tokens: int = 5, ended: bool = True) -> Generation:
    return Generation(f"gsm8k/{number}", response, tokens, ended, 8)


def test_the_ways_in_which_a_response_ends_are_told_apart(tmp_path: Path) -> None:
    answers = [
        answer(0, r"<answer>\boxed{0}</answer>"),
        answer(1, "<reasoning>\nwe see", 9, ended=False),
        answer(2, "<reasoning>\n", 0),
        answer(3, "<reasoning>\nwell", 2),
    ]
    (condition,) = written(tmp_path, answers).result().conditions
    shares = (condition.solved, condition.truncated, condition.eos_overflow, condition.early_termination)
    assert [(share.correct, share.n) for share in shares] == [(1, 4)] * 4
    assert condition.tokens.mean == 4
    assert condition.passes.low is None


def test_missing_answers_are_counted_and_not_scored(tmp_path: Path) -> None:
    result = written(tmp_path, [answer(0, "<answer>0</answer>"), answer(3, "<answer>9</answer>")]).result()
    assert result.missing == 2
    assert (result.conditions[0].solved.correct, result.conditions[0].solved.n) == (1, 2)


# Comparisons


def answers(solved: Sequence[bool]) -> list[Generation]:
    return [answer(i, f"<answer>{i if right else 777}</answer>") for i, right in enumerate(solved)]


def test_two_checkpoints_are_compared_item_by_item(tmp_path: Path) -> None:
    one = written(tmp_path / "a", answers([True, True, True, False]))
    other = written(tmp_path / "b", answers([True, False, False, True]))
    (found,) = compare_evaluations(one, other)
    paired = found.seeds[0].paired
    assert (paired.both, paired.only_a, paired.only_b, paired.neither) == (1, 2, 1, 0)
    assert paired.difference.points == pytest.approx(25)
    assert found.over_seeds is None
    (mirrored,) = compare_evaluations(other, one)
    assert mirrored.seeds[0].paired.difference.points == pytest.approx(-25)


def test_against_itself_there_is_no_difference(tiny: DiffusionModel, tmp_path: Path) -> None:
    asked = plan(sampling=SamplingSpec(temperature=0.7), seeds=(1, 2), lengths=(48,))
    run(tiny, tmp_path, asked)
    evaluation = Evaluation.read(tmp_path)
    assert evaluation.generations[0] != evaluation.generations[1], "the seeds draw other answers"
    (found,) = compare_evaluations(evaluation, evaluation)
    assert [each.paired.difference.points for each in found.seeds] == [0, 0]
    assert all(each.paired.p == 1 for each in found.seeds)
    assert found.over_seeds is not None
    assert (found.over_seeds.low, found.over_seeds.points, found.over_seeds.high) == (0, 0, 0)


def test_other_items_or_settings_are_not_compared(tmp_path: Path) -> None:
    one = written(tmp_path / "a", answers([True] * 4))
    with pytest.raises(SpecError, match="of different items"):
        compare_evaluations(one, written(tmp_path / "b", answers([True] * 5), count=5))
    slower = written(tmp_path / "d", answers([True] * 4), sampling=PROTOCOL.model_copy(update={"steps": 256}))
    assert compare_evaluations(one, slower)[0].settings == ["steps"]
    with pytest.raises(SpecError, match="No length and seed"):
        compare_evaluations(one, written(tmp_path / "c", answers([True] * 4), lengths=(128,)))


# Plans


def test_several_lengths_keep_steps_per_token_and_blocks() -> None:
    found = EvaluationPlan.parse({"task": "gsm8k", "lengths": [128, 256, 512]}).conditions()
    assert [(s.length, s.block_length, s.steps) for s, _ in found] == [(128, 32, 64), (256, 32, 128), (512, 32, 256)]
    found = EvaluationPlan.parse({"task": "sudoku", "lengths": [48, 96]}).conditions()
    assert [(s.length, s.block_length, s.steps) for s, _ in found] == [(48, 48, 24), (96, 96, 48)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [1, 2]}, "several seeds give the same answers at temperature 0"),
        ({"seeds": []}, "at least 1 item"),
        ({"lengths": [48, 48]}, "each length may be named once"),
        ({"task": "chess"}, "gsm8k"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(**changes)


def test_a_length_for_which_there_is_no_schedule_is_refused() -> None:
    with pytest.raises(SpecError, match="whole number") as caught:
        plan(lengths=[47]).conditions()
    assert caught.value.problems[0].field == "lengths"


# The command


def test_gift_evaluate_asks_resumes_and_scores_again(gift_here: Here, tmp_path: Path) -> None:
    arguments = ["evaluate", "tiny", "--task", "algebra", "--count", "6", "--set", "steps=12"]
    code, said, _ = gift_here(*arguments)
    assert code == 0
    assert "Expressions and equations: 6 items" in said
    assert " of 6 solved" in said
    folder = tmp_path / "evaluations" / "algebra" / "tiny"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("items*")}
    assert gift_here(*arguments)[1] == said
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("items*")} == before
    code, again, _ = gift_here("evaluate", "--rescore", str(folder), str(folder))
    assert code == 0
    assert said.splitlines()[:5] == again.splitlines()[:5]
    assert "+0.0 points" in again
    code, document, _ = gift_here("evaluate", "--rescore", str(folder), str(folder), "--json")
    found = json.loads(document)
    assert found["results"][0]["conditions"][0]["sampling"]["steps"] == 12
    assert found["comparisons"][0][0]["seeds"][0]["paired"]["p"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny", "--items", "a.jsonl", "--hub", "a/b"), "from a file or from the Hub"),
        (("tiny", "--items", "a.jsonl", "--difficulty", "easy"), "for generated items"),
        (("tiny", "--task", "gsm8k", "--difficulty", "easy"), "gsm8k is a fixed list"),
        (("tiny", "--task", "gsm8k", "--items", "nowhere.jsonl"), "nowhere.jsonl"),
        (("tiny", "tiny"), "share a folder"),
        (("tiny", "--length", "5", "--count", "4"), "whole number"),
        (("--rescore", "nowhere", "--count", "3"), "scored as they are: --count would"),
        (("--rescore", "nowhere"), "holds no evaluation"),
        (("tiny", "--set", "steps=0"), "steps"),
        (("tiny", "--count", "4", "--set", "nothing=1"), "nothing"),
    ],
)
def test_a_mistake_is_one_message(gift_here: Here, arguments: tuple[str, ...], message: str) -> None:
    code, _, complained = gift_here("evaluate", *arguments)
    assert code == 1
    assert message in complained
    assert "Traceback" not in complained
