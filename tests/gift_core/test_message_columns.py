"""Prompts and responses that are lists of messages, and reasoning that comes apart from its answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gift_core.data.examples import Example, Turn
from gift_core.data.files import read_examples
from gift_core.errors import DataError
from tests.gift_core.test_known_formats import CHOSEN, LEARNED, S1K, TALK, THOUGHT, only, written

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
        ([TALK[0]], [], 'The text of the response .column "completion". is empty'),
        ([], CHOSEN, 'The text of the prompt .column "prompt". is empty'),
        ([None], CHOSEN, "the prompt .column .prompt.. is"),
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
