"""Reading answers out of responses: boxes, tags and numbers, whatever else a model wrote."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift_core.tasks.answers import boxed_or_tagged, boxes, number_answer, tagged
from gift_core.tasks.expressions import parse_expression, value_of
from gift_core.tasks.math_strings import other_base, same_text, spelled_alike
from gift_core.tasks.notation import from_latex, visible
from gift_core.tasks.numbers import LONGEST, number_in

# What a model that goes round in circles writes, and what would make a careless pattern slow.
LONG = [
    r"\boxed{" * 10**5,
    r"\boxed{" * 10**5 + "}" * 10**5,
    r"\boxed{5}" * 10**5,
    r"\boxed" + " " * 10**6,
    "{" * 10**6,
    "}" * 10**6,
    "<answer>" * 10**5,
    "<answer>" + "9" * 10**6,
    "<answer>" + "1,111" * 200_000,
    "<answer>" + "1 111 " * 200_000,
    r"\boxed{" + "1," * 500_000 + "}",
    (r"\boxed{" + "1," * 490 + "}") * 1000,
    (r"\boxed{" + r"\text{" * 160 + "}") * 1000,
    r"<answer>" + r"\frac{" * 10**5,
    "-" * 10**6,
]


def pieces(alphabet: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(alphabet), max_size=40).map("".join)


balanced = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_characters="{}\\"), max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "".join(f"{{{part}}}" for part in parts)),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"\boxed{18}", ["18"]),
        (r"so \boxed{ \frac{1}{2} } and \boxed {3}", [r"\frac{1}{2}", "3"]),
        (r"\boxed{x = \boxed{5}}", [r"x = \boxed{5}", "5"]),
        (r"\boxed{\left\{1, 2\right\}}", [r"\left\{1, 2\right\}"]),
        (r"\boxed{\{1, 2}", [r"\{1, 2"]),
        (r"\\boxed{7}", ["7"]),
        ("} } \\boxed{4}}", ["4"]),
        (r"\boxed{18", []),
        (r"\boxed{\frac{1}{2} so \boxed{3}", ["3"]),
        (r"\boxed 5, boxed{6}, \boxed", []),
        (r"\boxed{}", [""]),
        (r"\boxed{" + "1" * (LONGEST + 1) + "}", []),
        ("", []),
    ],
)
def test_a_box_ends_at_its_own_brace_and_an_open_one_is_none(text: str, found: list[str]) -> None:
    assert boxes(text) == found


@given(st.lists(balanced, min_size=1, max_size=4), balanced)
def test_what_is_put_into_boxes_comes_out_of_them(contents: list[str], between: str) -> None:
    text = between.join(rf"\boxed{{{content}}}" for content in contents)
    assert boxes(text) == [visible(content) for content in contents]


def test_the_last_answer_tag_counts_and_an_unfinished_one_too() -> None:
    assert tagged("<answer>1</answer> no: <answer> 2 </answer> 3") == "2"
    assert tagged("<reasoning>so</reasoning><answer>3") == "3"
    assert tagged("so 4</answer>") is None
    assert boxed_or_tagged(r"<answer>3</answer> \boxed{4}") == "4"
    assert boxed_or_tagged(r"\boxed{4 <answer>3</answer>") == "3"
    assert boxed_or_tagged("<answer>" + "1" * (LONGEST + 1)) == ""
    assert boxed_or_tagged("just 4") == ""


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["{:d}", "{:,d}", "${:,d}", "{:d}.00", r"\text{{about}} {:,d} km"])
)
def test_a_whole_number_comes_back_from_every_way_of_writing_it(number: int, form: str) -> None:
    for text in (rf"so \boxed{{{form.format(number)}}}.", f"7 <answer>{form.format(number)}</answer>"):
        found = number_answer(text)
        assert found is not None
        assert found.value == number


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (r"\boxed{18} then \boxed{19}", 18),
        (r"\boxed{...} then \boxed{19}", 19),
        (r"\boxed{no} <answer>7 eggs</answer>", 7),
        ("<answer>16 - 3 = 13 eggs</answer>", 13),
        ("<answer>16-3</answer>", 13),
        (r"<answer>\boxed{18</answer>", 18),
        (r"\boxed{\boxed{18}}", 18),
        (r"\boxed{\boxed{5}^2}", 25),
        # A tag or a token that was cut off is no part of the number.
        (r"<answer>\boxed{36><|eot_id|><|endoftext|>", 36),
        ("<answer>145</answer}<|eot_id|>", 145),
        (r"<answer>boxed{4}</answer>", 4),
        ("so it is 3 + 15\n#### 18", 18),
        ("#### 1,200", 1200),
        ("#### $18 a day\nQuestion: 5?", 18),
    ],
)
def test_the_first_box_with_a_digit_counts_else_the_tags_else_what_follows_the_marks(response: str, value: int) -> None:
    found = number_answer(response)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    "response",
    [
        "the answer is 18",
        # The marks count only where there is neither a box nor a tag.
        r"\boxed{x} #### 18",
        "<answer>none</answer> #### 18",
        "<answer></answer> #### 18",
        "####",
        # A part of an answer that is not a number is not read as one.
        r"\boxed{3, \boxed{4}}",
        r"\boxed{3, 4} \boxed{5}",
        r"\boxed{no} <answer>6 and 7</answer>",
        "#### 3 and 4",
        "<answer>" + "5 " * 600 + "</answer>",
    ],
)
def test_what_is_no_single_number_is_no_answer(response: str) -> None:
    assert number_answer(response) is None


EMPTY = ["\u200b", "\ufeff", "\u00ad", "\u00a0", "\u2060\u200d", "\x00\x07", "\u3164", "\u2800", " \u200b\n"]


@pytest.mark.parametrize("empty", EMPTY)
def test_what_shows_nothing_is_empty(empty: str) -> None:
    assert visible(empty) == ""
    assert boxes(rf"\boxed{{{empty}}}") == [""]
    assert tagged(f"<answer>{empty}</answer>") == boxed_or_tagged(rf"<answer>3</answer> \boxed{{{empty}}}") == ""
    assert number_in(empty) is None
    assert number_answer(rf"\boxed{{{empty}}}") is None
    assert not same_text(empty, empty)
    assert number_in(f"1{empty.strip()}8{empty}") == number_in("18")


@given(pieces([*"{}\\$,./=-0 19", r"\boxed{", "<answer>", "</answer>", r"\frac{"]))
def test_any_response_can_be_read(response: str) -> None:
    found = number_answer(response)
    assert found is None or (found.text and isinstance(found.value, Fraction))
    assert len(boxed_or_tagged(response)) <= LONGEST
    from_latex(response)
    spelled_alike(response)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("response", LONG, ids=range(len(LONG)))
def test_a_very_long_response_takes_one_pass(response: str) -> None:
    number_answer(response)
    assert len(boxed_or_tagged(response)) <= LONGEST


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac12", "0.5"),
        (r"\dfrac{1}{2}", "1/2"),
        (r"\frac ab", r"\frac{a}{b}"),
        (r"\frac{1}2", r"\frac1{2}"),
        ("x = 5", "5"),
        (r"5\text{ cm}", "5"),
        (r"5 \mbox{ cm}^2", "5"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"10\%", "10"),
        (r"\left(3, 4\right)", "(3,4)"),
        (r"\$5", "5"),
        (r"90^\circ", "90"),
        (r"10,\!080", "10,080"),
        (r"{.5}x", "{0.5}x"),
    ],
)
def test_the_older_comparison_spells_these_alike(one: str, other: str) -> None:
    assert spelled_alike(one) == spelled_alike(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "2"), (r"\text{Evelyn}", r"\text{Anna}"), ("a=b=1", "1"), ("(1,2)", "(2,1)"), (r"\leftarrow", "arrow")],
)
def test_the_older_comparison_keeps_these_apart(one: str, other: str) -> None:
    assert spelled_alike(one) != spelled_alike(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (r"\text{east}", "east", True),
        (r"\text{ East }", "East.", True),
        ("$x$", "x", True),
        ("**x**", "x", True),
        ("not a formula {", "not  a formula {", True),
        (r"\text{east}", "west", False),
        ("", "$$", False),
    ],
)
def test_equal_texts_are_equal_whatever_they_are(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) == same_text(other, one) == same


def test_numbers_in_different_bases_are_different() -> None:
    assert other_base("52_8", "52_{9}")
    assert not other_base("52_8", "52_{8}")
    assert not other_base("52_8", "52")
    assert not other_base("x_8", r"\frac{1}{2}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"3 \times (4 \div 2)", 6),
        (r"3\cdot4", 12),
        (r"\left(3+4\right)\times\frac{\frac{8}{2}}{4}", 7),
        (r"\dfrac12 \cdot 4", 2),
        ("$[3+4]*{2}$", 14),
        (r"\(3 + 4\)", 7),
        ("7 ÷ 2", Fraction(7, 2)),
        ("3 ⋅ 4 ∗ 2 ∙ 1 • 1 ・ 1", 24),
        ("（３＋４）＊５", 35),
        ("8 − 5 – 1", 2),
        (r"\text{(3+4)} * 5", 35),
        ("03 + 4.0 + 1,000", 1007),
        ("-(3 - -4)", -7),
    ],
)
def test_arithmetic_in_latex_has_its_value(text: str, value: Fraction | int) -> None:
    tree = parse_expression(from_latex(text))
    assert tree is not None
    assert value_of(tree) == value


@pytest.mark.parametrize(
    "text",
    [
        r"\sqrt{4}",
        r"\timesx",
        r"\frac{1",
        "2(3)",
        r"9^{9}",
        "9**9**9",
        "5²",
        "2½",
        "3 4",
        "3, 4",
        "(3+4",
        "3+4)",
        "(3+4]",
        "3 % 2",
        "7 // 2",
        "5!",
        "__import__('os')",
    ],
)
def test_what_is_no_arithmetic_stays_none(text: str) -> None:
    assert parse_expression(from_latex(text)) is None
