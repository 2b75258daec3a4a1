"""Well-known data sets are recognised by their columns, and what was found can be changed and given back."""

from __future__ import annotations

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
