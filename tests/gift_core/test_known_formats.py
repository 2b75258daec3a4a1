"""Well-known data sets are recognised by their columns, and what was found can be changed and given back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gift_core.data.examples import Example, Turn
from gift_core.data.files import read_examples
from gift_core.data.layouts import find_layout
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError, SpecError
from tests.gift_core.conftest import Here

BROUGHT = Path(__file__).parents[1] / "data" / "brought"
LEARNED = "<reasoning>Two and two make four.</reasoning><answer>The answer is \\boxed{4}.</answer>"
THOUGHT = "<think>\nTwo and two make four.\n</think>\n\nThe answer is \\boxed{4}."
TALK = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
CHOSEN = [{"role": "assistant", "content": "a"}]
REJECTED = [{"role": "assistant", "content": "no"}]


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def only(path: Path, **mapping: str) -> Example:
    (found,) = read_examples(path, ColumnMapping.parse(mapping)).examples
    return found


# Files as people bring them

FIRST = {
    "empty-system.jsonl": (None, Example(1, "Say one.", "one")),
    "alpaca-history.json": (
        "Alpaca",
        Example(1, "And in Spanish?", "Hola", (Turn("user", "Say hello in French."), Turn("assistant", "Bonjour"))),
    ),
    "weight-zero.jsonl": (None, Example(1, "Name a fruit.", "Apple.")),
    "dolly.jsonl": (
        "Dolly",
        Example(1, "When did the harbour bridge open?\n\nThe harbour bridge opened on 4 May 1951.", "4 May 1951"),
    ),
    "instruction-input-response.jsonl": (None, Example(1, "Translate into German.\n\nhouse", "Haus")),
    "metamath.jsonl": (
        "MetaMath",
        Example(1, "Mia has 3 boxes of 4 pens. How many pens has she?", "3*4=12. The answer is: 12"),
    ),
    "mixture-of-thoughts.jsonl": ("Mixture-of-Thoughts", Example(1, "What is 2 + 2?", LEARNED)),
    "openorca.jsonl": (
        "OpenOrca",
        Example(1, "What colour is a clear sky at noon?", "Blue.", (Turn("system", "You answer in one word."),)),
    ),
    "s1k.jsonl": ("s1K", Example(1, "What is 2 + 2?", LEARNED)),
    "trailing-user.jsonl": (None, Example(1, "2+2?", "4")),
}


@pytest.mark.parametrize("name", FIRST)
def test_a_file_is_read_as_it_is_meant(name: str, gift_here: Here) -> None:
    title, example = FIRST[name]
    found = read_examples(BROUGHT / name)
    assert found.layout.recognised == title
    assert found.examples[0] == example
    code, said, _ = gift_here("check-data", str(BROUGHT / name), "--json")
    summary = json.loads(said)
    assert (code, summary["rows"], summary["layout"]) == (0, len(found.examples), found.layout.name)
    assert summary["context_column"] == found.layout.context


def test_tool_calls_are_refused_by_message_and_field(gift_here: Here) -> None:
    code, said, _ = gift_here("check-data", str(BROUGHT / "tool-calls.jsonl"))
    assert code == 1
    assert 'row 4: Message 2 of column "messages" has "tool_calls"' in said


# Columns

S1K = {"question": "q", "solution": "s", "attempt": "a", "thinking_trajectories": ["t"], "cot_type": "math"}
S1K_1_1 = {
    **{"solution": "s", "question": "q", "cot_type": "math", "source_type": "x", "metadata": "{}"},
    **{"gemini_thinking_trajectory": "gt", "gemini_attempt": "ga"},
    **{"deepseek_thinking_trajectory": "dt", "deepseek_attempt": "da", "deepseek_grade": "Yes"},
}
KNOWN: list[tuple[str, dict[str, Any], Example]] = [
    ("s1K", S1K, Example(1, "q", "<reasoning>t</reasoning><answer>a</answer>")),
    ("s1K-1.1", S1K_1_1, Example(1, "q", "<reasoning>dt</reasoning><answer>da</answer>")),
    (
        "OpenR1-Math",
        {"problem": "p", "solution": "s", "answer": "4", "generations": ["g"], "messages": TALK},
        Example(1, "q", "a"),
    ),
    ("NuminaMath", {"source": "x", "problem": "p", "solution": "s", "messages": TALK}, Example(1, "q", "a")),
    ("UltraChat", {"prompt": "q", "prompt_id": "1", "messages": TALK}, Example(1, "q", "a")),
    (
        "OpenHermes",
        {
            "system_prompt": None,
            "custom_instruction": None,
            "skip_prompt_formatting": False,
            "conversations": [{"from": "human", "value": "q", "weight": None}, {"from": "gpt", "value": "a"}],
        },
        Example(1, "q", "a"),
    ),
    (
        "ShareGPT",
        {
            "conversations": [
                {"from": "system", "value": "s", "weight": None},
                {"from": "human", "value": "q", "weight": 0.0},
                {"from": "gpt", "value": "a", "weight": 1.0},
            ]
        },
        Example(1, "q", "a", (Turn("system", "s"),)),
    ),
    ("MATH", {"problem": "p", "level": "Level 5", "type": "Algebra", "solution": "s"}, Example(1, "p", "s")),
    ("OpenMathInstruct", {"problem": "p", "generated_solution": "s", "expected_answer": "4"}, Example(1, "p", "s")),
    (
        "question and answer, as GSM8K",
        {"question": "q", "answer": "3*4=<<3*4=12>>12\n#### 12"},
        Example(1, "q", "3*4=<<3*4=12>>12\n#### 12"),
    ),
    ("prompt and completion, as TRL", {"prompt": "p", "completion": "c"}, Example(1, "p", "c")),
    ("preference pairs (DPO)", {"prompt": "p", "chosen": "c", "rejected": "r"}, Example(1, "p", "c")),
    (
        "preference pairs (DPO)",
        {"system": "s", "question": "q", "chosen": "c", "rejected": "r"},
        Example(1, "q", "c", (Turn("system", "s"),)),
    ),
    (
        "preference pairs (DPO)",
        {"prompt": "q", "chosen": TALK, "rejected": [TALK[0], *REJECTED], "score_chosen": 9.0},
        Example(1, "q", "a"),
    ),
    ("preference pairs (DPO)", {"chosen": TALK, "rejected": [TALK[0], *REJECTED]}, Example(1, "q", "a")),
    (
        "preference pairs (DPO)",
        {"system": "s", "input": "q", "chosen": "c", "rejected": "r"},
        Example(1, "q", "c", (Turn("system", "s"),)),
    ),
    # The conversation goes up to the question that the pair answers.
    (
        "preference pairs (DPO)",
        {
            "conversations": [
                {"from": "human", "value": "q1"},
                {"from": "gpt", "value": "a1"},
                {"from": "human", "value": "q2"},
            ],
            "chosen": {"from": "gpt", "value": "c"},
            "rejected": {"from": "gpt", "value": "r"},
        },
        Example(1, "q2", "c", (Turn("user", "q1"), Turn("assistant", "a1"))),
    ),
    (
        "preference pairs (DPO)",
        {"prompt": "q", "prompt_id": "1", "messages": TALK, "chosen": TALK, "rejected": [TALK[0], *REJECTED]},
        Example(1, "q", "a"),
    ),
    (
        "preference pairs (DPO)",
        {"prompt": [TALK[0]], "chosen": CHOSEN, "rejected": REJECTED},
        Example(1, "q", "a"),
    ),
]


@pytest.mark.parametrize(("title", "row", "example"), KNOWN)
def test_a_known_data_set_is_recognised(tmp_path: Path, title: str, row: dict[str, Any], example: Example) -> None:
    path = written(tmp_path / "d.jsonl", row)
    found = read_examples(path)
    assert found.layout.recognised == title
    assert found.examples == [example]
    assert read_examples(path, found.layout.mapping()) == found
    # What stands beside it makes no difference.
    written(path, row | {"unread": float("nan"), "": [1]})
    assert read_examples(path).examples == [example]


COLUMN_SETS = [
    *(list(row) for _, row, _ in KNOWN),
    *(["instruction", "input", "output"], ["instruction", "input", "context", "response", "history", "system"]),
    *(["prompt", "response", "context", "reasoning", "system_prompt"], ["input", "output"], ["query", "response"]),
]


@pytest.mark.parametrize("columns", COLUMN_SETS)
@pytest.mark.parametrize("reasoning", ["protocol", "think", "omit"])
def test_a_mapping_that_was_found_means_the_same_when_it_is_given_back(columns: list[str], reasoning: str) -> None:
    found = find_layout(columns, ColumnMapping.parse({"reasoning": reasoning}))
    assert find_layout(columns, found.mapping()) == found
    assert set(found.used) <= set(columns)
    assert len(set(found.used)) == len(found.used)
    assert ColumnMapping.parse(found.mapping().model_dump()) == found.mapping()


def test_the_columns_that_are_read_are_named_in_the_order_of_a_prompt() -> None:
    found = find_layout(["output", "history", "input", "note", "instruction", "system", "reasoning"])
    assert found.used == ("system", "history", "instruction", "input", "reasoning", "output")
    assert find_layout(["note", "messages"]).used == ("messages",)


@pytest.mark.parametrize(
    ("mapping", "response"),
    [
        ({"response_column": "gemini_attempt"}, "<reasoning>gt</reasoning><answer>ga</answer>"),
        ({"response_column": "solution"}, "<reasoning>dt</reasoning><answer>s</answer>"),
        (
            {
                "prompt_column": "question",
                "response_column": "solution",
                "reasoning_column": "gemini_thinking_trajectory",
            },
            "<reasoning>gt</reasoning><answer>s</answer>",
        ),
        # A pair that is named whole is read alone, as it was before reasoning was.
        ({"prompt_column": "question", "response_column": "solution"}, "s"),
        ({"layout": "pairs", "response_column": "gemini_attempt"}, "ga"),
    ],
)
def test_what_was_recognised_can_be_changed(tmp_path: Path, mapping: dict[str, str], response: str) -> None:
    assert only(written(tmp_path / "d.jsonl", S1K_1_1), **mapping).response == response


@pytest.mark.parametrize(
    ("mapping", "prompt"),
    [
        ({}, "q\n\nc"),
        ({"prompt_column": "question", "response_column": "answer"}, "q"),
        ({"layout": "pairs"}, "q"),
        ({"layout": "pairs", "context_column": "note"}, "q\n\nn"),
    ],
)
def test_a_passage_is_part_of_the_prompt(tmp_path: Path, mapping: dict[str, str], prompt: str) -> None:
    path = written(tmp_path / "d.jsonl", {"question": "q", "answer": "a", "context": "c", "note": "n"})
    assert only(path, **mapping) == Example(1, prompt, "a")


@pytest.mark.parametrize("passages", [["c1", "c2"], "c1\n\nc2"])
def test_several_passages_stand_apart(tmp_path: Path, passages: object) -> None:
    path = written(tmp_path / "d.jsonl", {"question": "q", "answer": "a", "context": passages})
    assert only(path).prompt == "q\n\nc1\n\nc2"


@pytest.mark.parametrize("passage", ["['dog', 'cat']", '["dog", "cat"]', '{"dog": 1}', "[{'role': 'user'}]"])
def test_a_list_that_a_prompt_asks_about_is_its_text(tmp_path: Path, passage: str) -> None:
    path = written(tmp_path / "d.jsonl", {"instruction": "Sort it.", "input": passage, "output": passage})
    assert only(path) == Example(1, f"Sort it.\n\n{passage}", passage)


def test_a_passage_that_is_no_text_is_refused_with_the_way_to_leave_it_out(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", {"question": "q", "answer": "a", "context": {"title": "t"}})
    with pytest.raises(DataError, match="layout to pairs"):
        only(path)
    assert only(path, layout="pairs") == Example(1, "q", "a")


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"context_column": "nowhere"}, "data.source.context_column"),
        ({"context_column": "prompt"}, "data.source.context_column"),
        ({"reasoning_column": "note", "system_column": "note"}, "data.source.system_column"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_by_its_field(
    tmp_path: Path, mapping: dict[str, str], field: str
) -> None:
    path = written(tmp_path / "d.jsonl", {"prompt": "p", "response": "r", "note": "n"})
    with pytest.raises(DataError) as caught:
        only(path, **mapping)
    assert [problem.field for problem in caught.value.problems] == [field]


def test_a_conversation_has_no_context_beside_it() -> None:
    for mapping in ({"conversation_column": "a", "context_column": "b"}, {"layout": "messages", "history_column": "b"}):
        with pytest.raises(SpecError, match="a conversation holds its own turns"):
            ColumnMapping.parse(mapping)


def test_texts_without_an_end_of_the_prompt_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing says where its prompts end"):
        read_examples(written(tmp_path / "d.jsonl", {"text": "Once upon a time."}))


def test_a_message_for_each_row_is_no_conversation(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Each row is one message"):
        read_examples(written(tmp_path / "d.jsonl", *TALK))
    path = tmp_path / "l.jsonl"
    path.write_text(json.dumps(TALK) + "\n" + json.dumps([[{}]]) + "\n")
    with pytest.raises(DataError) as caught:
        read_examples(path)
    first, second = caught.value.problems
    assert '{"messages": [...]}' in str(first.remedy)
    assert '"prompt"' in str(second.remedy)


@pytest.mark.parametrize("switch", ["on", "off", True, "High"])
def test_a_switch_is_no_reasoning(tmp_path: Path, switch: object) -> None:
    path = written(tmp_path / "d.jsonl", {"input": [TALK[0]], "output": "a", "reasoning": switch})
    with pytest.raises(DataError, match="is not the reasoning") as caught:
        only(path)
    assert "layout to pairs" in str(caught.value.problems[0].remedy)
    assert only(path, layout="pairs") == Example(1, "q", "a")


@pytest.mark.parametrize(
    ("form", "response"),
    [
        ("protocol", "<reasoning>r</reasoning><answer>a</answer>"),
        ("think", "<think>r</think>\n<answer>a</answer>"),
        ("omit", "<answer>a</answer>"),
    ],
)
def test_an_answer_in_the_tags_of_the_protocol_is_not_wrapped_again(tmp_path: Path, form: str, response: str) -> None:
    row = {"prompt": "p", "response": "<think>r</think>\n<answer>a</answer>"}
    assert only(written(tmp_path / "d.jsonl", row), reasoning=form) == Example(1, "p", response)


def test_an_empty_step_of_the_reasoning_is_left_out(tmp_path: Path) -> None:
    row = S1K | {"thinking_trajectories": ["t", None, "", "u"]}
    assert only(written(tmp_path / "d.jsonl", row)).response == "<reasoning>t\nu</reasoning><answer>a</answer>"


# Prompts and responses that are lists of messages

SYSTEM = {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    ("prompt", "completion", "history"),
    [
        ([TALK[0]], CHOSEN, ()),
        ([SYSTEM, TALK[0]], CHOSEN, (Turn("system", "s"),)),
        ("q", CHOSEN, ()),
        ([TALK[0]], "a", ()),
        ([TALK[0]], CHOSEN[0], ()),
        ([TALK[0]], TALK, ()),
        (TALK, TALK, ()),
        ([SYSTEM, TALK[0]], TALK, (Turn("system", "s"),)),
        ("q", [SYSTEM, *TALK], (Turn("system", "s"),)),
        ([TALK[0]], [SYSTEM, *TALK], (Turn("system", "s"),)),
        ([SYSTEM, TALK[0]], [SYSTEM, *TALK], (Turn("system", "s"),)),
        ([*TALK, TALK[0]], CHOSEN, (Turn("user", "q"), Turn("assistant", "a"))),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_messages_in_prompt_and_completion(
    tmp_path: Path, prompt: object, completion: object, history: tuple[Turn, ...], suffix: str
) -> None:
    row = {"prompt": prompt, "completion": completion}
    path = tmp_path / f"d{suffix}"
    if suffix == ".jsonl":
        written(path, row)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    assert read_examples(path).examples == [Example(1, "q", "a", history)]


@pytest.mark.parametrize(
    ("prompt", "completion", "said"),
    [
        ("another", TALK, "does not begin with column"),
        ([{"role": "user", "content": "another"}], TALK, "does not begin with column"),
        ([SYSTEM, TALK[0]], [{"role": "system", "content": "t"}, *TALK], "does not begin with column"),
        ([TALK[0]], [TALK[0]], "has no message of the assistant"),
        (TALK, CHOSEN, "does not answer a message of the user"),
        ([TALK[0]], [CHOSEN[0] | {"tool_calls": [{"name": "f"}]}], 'Message 1 of column "completion" has "tool_calls"'),
        (json.dumps([TALK[0]])[:-2] + ',"role":"user"}]', CHOSEN, "twice"),
        (str([TALK[0]]), CHOSEN, "as Python prints it"),
        ("q", json.dumps(CHOSEN)[:-5], "ends too early, after 34 characters"),
        ("q", json.dumps(CHOSEN)[:-1], "ends too early"),
    ],
)
def test_messages_that_do_not_fit_are_named(tmp_path: Path, prompt: object, completion: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        only(written(tmp_path / "d.jsonl", {"prompt": prompt, "completion": completion}))


def test_a_text_in_brackets_is_a_text(tmp_path: Path) -> None:
    for prompt in (
        "[1, 2, 3]",
        '[{"a": 1}]',
        "['a', 'b'] reversed?",
        '["x"]',
        "[unclosed",
        "{}",
        '[{"from": "Oslo", "to": "Rome"}]',
        '{"role": "user"}',
    ):
        path = written(tmp_path / "d.jsonl", {"prompt": prompt, "response": prompt})
        assert only(path) == Example(1, prompt, prompt)


def test_a_conversation_in_a_cell_is_read_as_json(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    for name in ("messages", "conversations"):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([[name, "id"], [json.dumps(TALK), "1"]])
        assert read_examples(path).examples == [Example(1, "q", "a")]
    damaged = json.dumps(TALK).replace(":", ";")
    for cell, said in (
        *((str(TALK), "as Python prints it"), (json.dumps(TALK)[:-1], "ends too early")),
        *((damaged, "not a list in JSON"), ("", "text")),
    ):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["messages", "id"], [cell, "1"]])
        with pytest.raises(DataError, match=said):
            read_examples(path)


# Reasoning


@pytest.mark.parametrize(
    ("form", "learned"), [("protocol", LEARNED), ("think", THOUGHT), ("omit", "The answer is \\boxed{4}.")]
)
@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "attempt": "The answer is \\boxed{4}.", "thinking_trajectories": ["Two and two make four."]},
        {"prompt": "q", "response": "The answer is \\boxed{4}.", "reasoning": "Two and two make four."},
        {"prompt": "q", "response": THOUGHT},
        {"prompt": "q", "response": THOUGHT, "reasoning": "Two and two make four."},
        {"messages": [TALK[0], {"role": "assistant", "content": THOUGHT}]},
        *(
            {"messages": [TALK[0], {"role": "assistant", "content": "The answer is \\boxed{4}.", name: value}]}
            for name, value in (
                ("reasoning_content", "Two and two make four."),
                ("reasoning", " Two and two make four.\n"),
                ("thinking", [{"type": "text", "text": "Two and two make four."}]),
            )
        ),
        {
            "messages": [
                TALK[0],
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Two and two make four."},
                        {"type": "text", "text": "The answer is \\boxed{4}."},
                    ],
                },
            ]
        },
    ],
)
def test_reasoning_is_learned_in_the_form_that_was_chosen(
    tmp_path: Path, row: dict[str, Any], form: str, learned: str
) -> None:
    assert only(written(tmp_path / "d.jsonl", row), reasoning=form) == Example(1, "q", learned)


@pytest.mark.parametrize(
    ("text", "learned"),
    [
        ("No reasoning.", "No reasoning."),
        ("<think>\n\n</think>\n\nPlain.", "Plain."),
        ("Thought first.\n</think>\nThen said.", "<reasoning>Thought first.</reasoning><answer>Then said.</answer>"),
        ("The tags <think> and </think> frame it.", "The tags <think> and </think> frame it."),
        ("<reasoning>r</reasoning><answer>a</answer>", "<reasoning>r</reasoning><answer>a</answer>"),
    ],
)
def test_blocks_of_reasoning_in_a_text(tmp_path: Path, text: str, learned: str) -> None:
    path = written(tmp_path / "d.jsonl", {"prompt": "q", "response": text})
    assert only(path).response == learned
    assert only(path, reasoning="think").response == text


@pytest.mark.parametrize("text", ["<think>never closed", "<think>no answer</think>", "<think>no answer</think> \n"])
def test_reasoning_without_an_answer_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "d.jsonl", {"prompt": "q", "response": text})
    with pytest.raises(DataError, match=r'row 1: The text of the response \(column "response"\)'):
        only(path)
    assert only(path, reasoning="think").response == text


@pytest.mark.parametrize("steps", [["One.", "Two."], '["One.", "Two."]', "One.\nTwo."])
def test_steps_of_reasoning_stand_below_each_other(tmp_path: Path, steps: object) -> None:
    path = written(tmp_path / "d.jsonl", S1K | {"thinking_trajectories": steps})
    assert only(path).response == "<reasoning>One.\nTwo.</reasoning><answer>a</answer>"
    with pytest.raises(DataError, match="as Python prints it"):
        only(written(path, S1K | {"thinking_trajectories": "['One.', 'Two.']"}))


def test_two_different_reasonings_are_refused(tmp_path: Path) -> None:
    for row in (
        {"prompt": "q", "response": THOUGHT, "reasoning": "Another."},
        {"messages": [TALK[0], {"role": "assistant", "content": THOUGHT, "thinking": "Another."}]},
        {"messages": [TALK[0], {"role": "assistant", "content": "a", "thinking": "One.", "reasoning": "Another."}]},
    ):
        with pytest.raises(DataError, match=r"reasoning"):
            only(written(tmp_path / "d.jsonl", row))


def test_a_row_without_reasoning_is_its_answer(tmp_path: Path) -> None:
    for nothing in (None, [], "", [""]):
        assert only(written(tmp_path / "d.jsonl", S1K | {"thinking_trajectories": nothing})).response == "a"


def test_earlier_answers_stand_in_the_prompt_without_their_reasoning(tmp_path: Path) -> None:
    earlier = {"role": "assistant", "content": "<think>t</think>one", "reasoning_content": "t"}
    row = {"messages": [TALK[0], earlier, *TALK]}
    assert only(written(tmp_path / "d.jsonl", row)).history == (Turn("user", "q"), Turn("assistant", "one"))
