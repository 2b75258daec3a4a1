"""Fields beside a message's text and columns beside a row's are used as they are meant, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from gift_core.data.examples import Example, Turn
from gift_core.data.files import read_examples
from gift_core.data_spec import ColumnMapping
from gift_core.errors import DataError

ASKED = {"role": "user", "content": "q"}
ANSWERED = {"role": "assistant", "content": "a"}
NOTHING = (None, "", " ", [], {}, False, [None], {"name": None})


def example(folder: Path, row: dict[str, Any], **mapping: str) -> Example:
    path = folder / "d.jsonl"
    path.write_text(json.dumps(row) + "\n", "utf-8")
    (found,) = read_examples(path, ColumnMapping.parse(mapping)).examples
    return found


def refusal(folder: Path, row: dict[str, Any], **mapping: str) -> str:
    with pytest.raises(DataError) as caught:
        example(folder, row, **mapping)
    (problem,) = caught.value.problems
    assert problem.field == "row 1"
    assert problem.remedy
    return problem.message


def talk(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


# Fields of messages

TOOL_CALLS = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
UNLEARNABLE = [
    *(("tool_calls", TOOL_CALLS), ("tool_call", {"name": "f"}), ("toolCalls", TOOL_CALLS), ("tool_call_id", "c1")),
    *(("function_call", {"name": "f", "arguments": "{}"}), ("tools", TOOL_CALLS), ("functions", TOOL_CALLS)),
    *(("images", ["a.png"]), ("image_url", {"url": "a"}), ("image", "a.png"), ("audio", {"id": "x"}), ("video", "v")),
    *(("refusal", "I cannot."), ("name", "Ada"), ("prefix", True), ("recipient", "python"), ("documents", ["d"])),
    *(("loss_mask", [0, 1]), ("train_detail", [{"begin_offset": 0}]), ("reasoning_details", [{"text": "r"}])),
]


@pytest.mark.parametrize(("name", "value"), UNLEARNABLE)
@pytest.mark.parametrize("place", [0, 1])
def test_a_field_that_text_cannot_hold_is_refused_by_message_and_name(
    tmp_path: Path, name: str, value: object, place: int
) -> None:
    messages = [dict(ASKED), dict(ANSWERED)]
    messages[place][name] = value
    assert refusal(tmp_path, talk(*messages)).startswith(f'Message {place + 1} of column "messages" has "{name}"')


@pytest.mark.parametrize("name", [*(name for name, _ in UNLEARNABLE), "thinking", "reasoning_content", "channel"])
@pytest.mark.parametrize("nothing", NOTHING)
def test_an_empty_field_is_nothing(tmp_path: Path, name: str, nothing: object) -> None:
    assert example(tmp_path, talk(ASKED | {name: nothing}, ANSWERED | {name: nothing})) == Example(1, "q", "a")


def test_what_says_nothing_of_the_text_passes(tmp_path: Path) -> None:
    notes = {
        "id": 7,
        "timestamp": "2024-01-01",
        "model": "m",
        "tokens": 12,
        "language": "en",
        "annotations": [{"a": 1}],
    }
    assert example(tmp_path, talk(ASKED | notes, ANSWERED | notes)) == Example(1, "q", "a")


@pytest.mark.parametrize("role", ["tool", "function", "function_call", "observation", "ipython"])
def test_messages_of_tools_are_refused(tmp_path: Path, role: str) -> None:
    row = talk(ASKED, ANSWERED, {"role": role, "content": "12 degrees"}, ANSWERED)
    assert f'Message 3 of column "messages" is from "{role}"' in refusal(tmp_path, row)


def test_two_speakers_or_two_texts_of_one_message_are_refused(tmp_path: Path) -> None:
    assert "name two speakers" in refusal(tmp_path, talk(ASKED | {"from": "gpt"}, ANSWERED))
    assert 'both "content" and "value"' in refusal(tmp_path, talk(ASKED | {"value": "other"}, ANSWERED))
    for more in ({"from": "human", "value": "q"}, {"value": ""}, {"content": "", "value": "q"}):
        assert example(tmp_path, talk(ASKED | more, ANSWERED)) == Example(1, "q", "a")


def test_newer_names_of_speakers_are_known(tmp_path: Path) -> None:
    row = talk({"role": "developer", "content": "s"}, ASKED, {"role": "model", "content": "a"})
    assert example(tmp_path, row) == Example(1, "q", "a", (Turn("system", "s"),))


def test_a_channel_that_is_not_the_answer_is_refused(tmp_path: Path) -> None:
    assert example(tmp_path, talk(ASKED, ANSWERED | {"channel": "final"})).response == "a"
    assert 'is of the channel "analysis"' in refusal(tmp_path, talk(ASKED, ANSWERED | {"channel": "analysis"}))


@pytest.mark.parametrize("more", [{"thinking": "t"}, {"content": [{"type": "thinking", "thinking": "t"}, "q"]}])
def test_reasoning_of_another_speaker_is_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    assert "Message 1" in refusal(tmp_path, talk(ASKED | more, ANSWERED))


# What is learned


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", 0),
        ("weight", 0.0),
        ("weight", "0"),
        ("train", False),
        ("training", False),
        ("masked", True),
        ("loss", 0),
    ],
)
def test_a_message_that_is_not_to_be_learned_is_context(tmp_path: Path, field: str, value: object) -> None:
    spared = {"role": "assistant", "content": "bad", field: value}
    found = example(tmp_path, talk(ASKED, ANSWERED, {"role": "user", "content": "r"}, spared))
    assert found == Example(1, "q", "a")
    found = example(tmp_path, talk(ASKED, spared, {"role": "user", "content": "r"}, ANSWERED))
    assert found == Example(1, "r", "a", (Turn("user", "q"), Turn("assistant", "bad")))
    assert "no message of the assistant that is to be learned" in refusal(tmp_path, talk(ASKED, spared))


@pytest.mark.parametrize(
    ("field", "value"), [("weight", 1), ("weight", 1.0), ("weight", None), ("train", True), ("masked", False)]
)
def test_a_message_that_is_to_be_learned_is(tmp_path: Path, field: str, value: object) -> None:
    assert example(tmp_path, talk(ASKED, ANSWERED | {field: value})) == Example(1, "q", "a")


@pytest.mark.parametrize("weight", [0.5, 2, -1, "half", [1]])
def test_other_weights_are_refused_wherever_they_stand(tmp_path: Path, weight: object) -> None:
    row = talk(ASKED, ANSWERED | {"weight": weight}, ASKED, ANSWERED)
    assert '"weight" of message 2' in refusal(tmp_path, row)


def test_switches_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    assert "contradict" in refusal(tmp_path, talk(ASKED, ANSWERED | {"weight": 1, "train": False}))


def test_a_user_message_that_is_to_be_learned_is_refused(tmp_path: Path) -> None:
    assert "Message 1" in refusal(tmp_path, talk(ASKED | {"train": True}, ANSWERED))
    assert example(tmp_path, talk(ASKED | {"train": False, "weight": 0}, ANSWERED)) == Example(1, "q", "a")


# Texts


def test_parts_of_a_text_join_without_a_line_break(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Name a "}, {"type": "text", "text": "bird."}, " Or", {"text": " two."}]
    found = example(tmp_path, talk({"role": "user", "content": parts}, ANSWERED))
    assert found.prompt == "Name a bird. Or two."


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": "x"}}, "image_url"),
        ({"type": "image"}, "image"),
        ({"type": "tool_use", "name": "f", "input": {}}, "tool_use"),
        ({"type": "tool_result", "content": "x"}, "tool_result"),
        ({"type": "refusal", "refusal": "no"}, "refusal"),
        (7, "text"),
        (None, "null"),
    ],
)
def test_a_part_that_is_not_text_is_named(tmp_path: Path, part: object, kind: str) -> None:
    row = talk(ASKED, {"role": "assistant", "content": [{"type": "text", "text": "t"}, part]})
    if kind == "text":
        assert example(tmp_path, row).response == "t7"
    else:
        assert f'Part 2 of message 2 of column "messages" is {kind}' in refusal(tmp_path, row)


@pytest.mark.parametrize("empty", [None, "", " \n", [], [{"type": "text", "text": ""}]])
def test_an_empty_system_message_is_no_history(tmp_path: Path, empty: object) -> None:
    system = {"role": "system", "content": empty}
    assert example(tmp_path, talk(system, ASKED, ANSWERED)) == Example(1, "q", "a")
    assert "tools" in refusal(tmp_path, talk(system | {"tools": TOOL_CALLS}, ASKED, ANSWERED))


@pytest.mark.parametrize("text", ["", None, "and?", {"no": "text"}])
def test_a_turn_of_the_user_at_the_end_is_passed_over(tmp_path: Path, text: object) -> None:
    assert example(tmp_path, talk(ASKED, ANSWERED, {"role": "user", "content": text})) == Example(1, "q", "a")


def test_an_empty_answer_at_the_end_is_missing(tmp_path: Path) -> None:
    row = talk(ASKED, ANSWERED, ASKED, {"role": "assistant", "content": ""})
    assert refusal(tmp_path, row) == 'The text of message 4 of column "messages" is empty.'


def test_a_greeting_of_the_assistant_stands_before_the_prompt(tmp_path: Path) -> None:
    row = {
        "conversations": [
            {"from": "gpt", "value": "Hi!"},
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"},
        ]
    }
    assert example(tmp_path, row) == Example(1, "q", "a", (Turn("assistant", "Hi!"),))


def test_parquet_gives_every_message_the_fields_of_all(tmp_path: Path) -> None:
    messages = [ASKED | {"tool_calls": None, "weight": None}, ANSWERED | {"tool_calls": None, "weight": 1.0}]
    typed = pyarrow.list_(
        pyarrow.struct(
            [
                ("role", pyarrow.string()),
                ("content", pyarrow.string()),
                ("tool_calls", pyarrow.list_(pyarrow.struct([("name", pyarrow.string())]))),
                ("weight", pyarrow.float64()),
            ]
        )
    )
    table = pyarrow.table({"messages": pyarrow.array([messages], typed)})
    parquet.write_table(table, tmp_path / "d.parquet")
    assert read_examples(tmp_path / "d.parquet").examples == [Example(1, "q", "a")]


# Columns beside the text

PAIR = {"prompt": "p", "response": "r"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("tools", TOOL_CALLS), ("tools", json.dumps(TOOL_CALLS)), ("functions", [{"name": "f"}])),
        *(("images", ["a.png"]), ("image", {"path": "a.png"}), ("weight", 0), ("weight", 0.5), ("weight", "2")),
        ("kto_tag", False),
    ],
)
@pytest.mark.parametrize("row", [PAIR, talk(ASKED, ANSWERED)])
def test_a_column_that_changes_the_row_is_refused_by_name(
    tmp_path: Path, row: dict[str, Any], column: str, value: object
) -> None:
    assert f'Column "{column}"' in refusal(tmp_path, row | {column: value})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("tools", "[]"), ("tools", "hammer, saw"), ("tools", ["hammer"]), ("functions", None), ("images", [])),
        *(("image", "a.png"), ("weight", 1), ("weight", None), ("weight", "72 kg"), ("label", False), ("label", "cat")),
    ],
)
def test_a_column_that_says_nothing_of_the_row_is_not_read(tmp_path: Path, column: str, value: object) -> None:
    assert example(tmp_path, PAIR | {column: value}) == Example(1, "p", "r")


def test_an_image_that_the_text_shows_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "<image>\nWhat is it?", "response": "A wren.", "image": "wren.png"}
    assert 'Column "image"' in refusal(tmp_path, row)


def test_a_completion_to_avoid_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "p", "completion": "c", "label": False}
    assert 'Column "label" is false' in refusal(tmp_path, row)
    assert example(tmp_path, row | {"label": True}).response == "c"


def test_a_conversation_that_a_spreadsheet_cut_off_is_named(tmp_path: Path) -> None:
    cut = json.dumps(talk(ASKED, ANSWERED)["messages"])[:-4]
    assert f"ends too early, after {len(cut)} characters" in refusal(tmp_path, {"messages": cut})


def test_a_conversation_to_avoid_is_refused(tmp_path: Path) -> None:
    row = talk(ASKED, ANSWERED) | {"label": False}
    assert 'Column "label" is false' in refusal(tmp_path, row)
    kept = talk(ASKED, ANSWERED)
    assert example(tmp_path, row | {"label": True}) == example(tmp_path, kept)


HISTORY = (Turn("user", "q1"), Turn("assistant", "a1"))


@pytest.mark.parametrize(
    "history",
    [
        [["q1", "a1"]],
        '[["q1", "a1"]]',
        [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"}],
    ],
)
@pytest.mark.parametrize("row", [PAIR, {"instruction": "p", "output": "r"}, {"question": "p", "answer": "r"}])
def test_history_is_turns_before_the_prompt(tmp_path: Path, row: dict[str, Any], history: object) -> None:
    assert example(tmp_path, row | {"history": history}) == Example(1, "p", "r", HISTORY)
    found = example(tmp_path, row | {"history": history, "system": "s"})
    assert found.history == (Turn("system", "s"), *HISTORY)


def test_a_system_message_of_the_history_comes_first(tmp_path: Path) -> None:
    row = PAIR | {
        "history": [{"role": "system", "content": "s"}, *({"role": t.role, "content": t.text} for t in HISTORY)]
    }
    assert example(tmp_path, row | {"system": "t"}).history == (Turn("system", "s"), *HISTORY)
    other = [{"role": "system", "content": "t"}, {"role": "user", "content": "p"}]
    assert "two different system messages" in refusal(tmp_path, row | {"prompt": other})


@pytest.mark.parametrize("nothing", [None, [], "", "[]"])
def test_an_empty_history_is_none(tmp_path: Path, nothing: object) -> None:
    assert example(tmp_path, PAIR | {"history": nothing}) == Example(1, "p", "r")


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ("We spoke before.", 'Column "history" is text'),
        ("[['q1', 'a1']]", "as Python prints it"),
        ([["q1"]], 'Pair 1 of column "history"'),
        ([["q1", ""]], 'The answer of pair 1 of column "history" is empty'),
        (["q1", "a1"], 'Pair 1 of column "history"'),
    ],
)
def test_a_history_that_is_none_is_named(tmp_path: Path, history: object, said: str) -> None:
    assert said in refusal(tmp_path, PAIR | {"history": history})
    # A layout of nothing but a prompt and a response has no history.
    assert example(tmp_path, PAIR | {"history": history}, layout="pairs") == Example(1, "p", "r")


def test_turns_beside_a_conversation_are_refused(tmp_path: Path) -> None:
    assert 'Column "history"' in refusal(tmp_path, talk(ASKED, ANSWERED) | {"history": [["q1", "a1"]]})
