"""What one number is: each kind of answer has its exact value or none, and the same for reference and response."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gift_core.errors import DataError
from gift_core.tasks.answers import number_answer
from gift_core.tasks.items import FileItems, Item
from gift_core.tasks.numbers import LONGEST, number_in
from gift_core.tasks.registry import EVALUATION_TASKS

CASES = Path(__file__).parents[1] / "data" / "answers"

VALUES: dict[str, list[tuple[str, Fraction | int | str]]] = {
    "plain": [
        ("1200", 1200),
        ("1200.0", 1200),
        (".5", "1/2"),
        ("-.5", "-1/2"),
        ("5.", 5),
        ("007", 7),
        ("-3", -3),
        ("- 3", -3),
        ("−3", -3),
        ("–3", -3),
        ("+5", 5),
        ("negative 5", -5),
        ("minus 5", -5),
        ("--5", 5),
    ],
    "mixed numbers": [
        (r"2\frac{1}{2}", "5/2"),
        (r"2 \frac12", "5/2"),
        (r"2\,\tfrac{1}{2}", "5/2"),
        ("2 1/2", "5/2"),
        ("2½", "5/2"),
        ("2 ½ cups", "5/2"),
        ("2 and 1/2", "5/2"),
        ("2 and a half", "5/2"),
        (r"-2\frac12", "-5/2"),
        ("-2 1/2", "-5/2"),
        (r"10\frac{1}{2}", "21/2"),
        (r"137 \frac{1}{2}", "275/2"),
    ],
    "fractions": [
        ("3/4", "3/4"),
        ("3 / 4", "3/4"),
        ("½", "1/2"),
        ("1⁄2", "1/2"),
        ("1∕2", "1/2"),
        (r"\frac{3}{4}", "3/4"),
        (r"\frac12", "1/2"),
        (r"\frac 59", "5/9"),
        (r"\frac9{19}", "9/19"),
        (r"\frac{270}7\text{ degrees}", "270/7"),
        (r"-\dfrac{1}{2}", "-1/2"),
        (r"\frac{-3}{4}", "-3/4"),
        (r"\frac{3}{-4}", "-3/4"),
        (r"-\frac{-1}{2}", "1/2"),
        (r"\frac{\frac12}{3}", "1/6"),
        (r"\frac{1}{\frac{1}{3}}", 3),
        (r"{1 \over 2}", "1/2"),
        ("1/2 + 1/3", "5/6"),
        ("2/3rds", "2/3"),
    ],
    "powers": [
        ("5^2", 25),
        ("5^{2}", 25),
        ("5²", 25),
        ("5**2", 25),
        ("5 squared", 25),
        ("-5^2", -25),
        ("(-5)^2", 25),
        ("10^{-3}", "1/1000"),
        ("10⁻³", "1/1000"),
        ("2^{3^2}", 512),
        ("16^{1/2}", 4),
        ("4^{1.5}", 8),
    ],
    "products, sums and quotients": [
        (r"3\cdot 6", 18),
        ("3*6", 18),
        (r"3 \times 6", 18),
        ("3×6", 18),
        ("3⋅6", 18),
        ("2(3)", 6),
        ("3+4", 7),
        ("48 - 10 + 48 - 6", 80),
        ("129+42.00", 171),
        ("16-3", 13),
        (r"45\div 3", 15),
        ("45/3", 15),
    ],
    "roots": [
        (r"\sqrt{16}", 4),
        (r"\sqrt 9", 3),
        (r"\sqrt{\frac14}", "1/2"),
        (r"\sqrt[3]{27}", 3),
        (r"2\sqrt{4}", 4),
        ("√16", 4),
        ("sqrt(16)", 4),
    ],
    "powers of ten": [
        ("1e3", 1000),
        ("1.5E-2", "3/200"),
        (r"5\times10^3", 5000),
        (r"5 \times 10^{3}", 5000),
        ("1.8·10¹", 18),
    ],
    "thousands": [
        ("1,200", 1200),
        ("1,450,000", 1450000),
        (r"70\,000", 70000),
        ("70 000", 70000),
        ("70 000 km", 70000),
        ("1\u202f200", 1200),
        ("70{,}000", 70000),
        (r"70,\!000", 70000),
        (r"11,\! 111,\! 100", 11111100),
        ("70~000", 70000),
        ("70'000", 70000),
        ("1，200", 1200),
    ],
    "recurring decimals": [
        (r"0.\overline{3}", "1/3"),
        (r"0.1\overline{6}", "1/6"),
        (r"0.\bar3", "1/3"),
        (r"0.\dot{1}4285\dot{7}", "1/7"),
        ("0.(3)", "1/3"),
        ("0.3\u0305", "1/3"),
        ("0.333...", "1/3"),
        ("0.1666…", "1/6"),
        ("0.121212...", "4/33"),
    ],
    "percent and currency": [
        ("50%", 50),
        (r"50\%", 50),
        ("12.5 percent", "25/2"),
        ("$1,200.50", "2401/2"),
        (r"$\$5$", 5),
        ("-$5", -5),
        ("$-5", -5),
        (r"-\$10", -10),
        ("€5", 5),
        ("5€", 5),
        ("£3.20", "16/5"),
        ("US$5", 5),
        ("USD 5", 5),
        ("5 dollars", 5),
        ("50 cents", 50),
    ],
    "units and words": [
        (r"18\text{ dollars}", 18),
        (r"864 \mbox{ inches}^2", 864),
        ("5 cm^2", 5),
        ("5 km/h", 5),
        ("$5/hour", 5),
        ("5 changes/day", 5),
        ("7,000{ feet}", 7000),
        ("90^\\circ", 90),
        ("20°C", 20),
        ("24-hour", 24),
        ("18 eggs", 18),
        ("18eggs", 18),
        ("18 元", 18),
        ("about 18", 18),
        ("a total of 5", 5),
        ("She makes 18!", 18),
        ("Answer: 5", 5),
        ("5 (or so)", 5),
        ("Juice Box C is 2 dollars more than Juice Box B.", 2),
        ("3rd", 3),
        ("5^{th}", 5),
        ("5 million", 5000000),
        ("2.5 hundred thousand", 250000),
        # A full hour is a number.
        ("2:00 pm", 2),
        ("3 p.m.", 3),
    ],
    "equations": [
        ("x = 18", 18),
        ("18 = x", 18),
        (r"3 \cdot 6 = 18", 18),
        (r"A = \pi r^2 = 28.26", "1413/50"),
        (r"10/3 \approx 3.33", "333/100"),
        (r"\approx 18", 18),
        ("16 - 3 - 4 = 9 eggs", 9),
    ],
    "other scripts": [("１２", 12), ("٣", 3), ("٣٫٥", "7/2"), ("१२", 12)],
    "marks": [
        ("**18**", 18),
        ("*18*", 18),
        ("`18`", 18),
        ("```\n18\n```", 18),
        ("#### 18", 18),
        ('"18"', 18),
        (r"\(18\)", 18),
        (r"\boxed{18}", 18),
        (r"\boxed{}18", 18),
        ("(18)", 18),
    ],
}

NONE: dict[str, list[str]] = {
    "nothing": ["", "none", "...", "x", "two", "\u200b", r"\text{}"],
    "lists": ["3, 4", "3 and 4", "3 or 4", "3;4", "3\n4", "3 4", r"3 \quad 4", "(3, 4)", r"\{3, 4\}", "3 or four"],
    "two statements": ["x = 3, y = 4", r"x = 3 \text{ or } x = -3", "x=3 y=4", "x=3\ny=4", "She has 5. x = 4"],
    "intervals and comparisons": [
        "[3,4]",
        "3-4",
        "3–4",
        "3 to 4",
        "x > 3",
        r"x \ge 3",
        "< 5",
        "more than 5",
        "at least 5",
        "5 or more",
        r"\pm 3",
        r"3 \pm 1",
        "±3",
    ],
    "ratios, times, dates": ["3:4", "3 : 4", "3:45", "3:45 pm", "2024-01-05", "1/2/2024", "March 5", "555-1234"],
    "variables": ["2x", "2 x", "x + 5", "x - 5", "2x = 10", "x + 3 = 5", r"2\pi", "2pi", "5i", "3 + 4i", "log 100"],
    "irrational or none": [r"\sqrt2", r"\sqrt{-4}", "3/0", r"\frac{4}{0}", "0^0", r"\infty", "∞", "|-3|", "5!"],
    "unclear separators": [
        "1,20",
        "0,5",
        "1040,000",
        "12,34,567",
        "1.200.000",
        "(1,200)",
        "[3,400]",
        r"1\,20",
        "1_000",
    ],
    "unclear fractions": [r"2\frac{3}{2}", "2-1/2", "3/4/5", r"\frac123", "6/2(3)", "2\n1/2"],
    "unclear decimals": ["0.3...", r"3.14\ldots", "18...", "1.2.3", "0.5.5"],
    "bases and names": ["52_8", "4210_{5}", "x_1", "A4", "0x12", "7 % 3", "45°30", "5'6\""],
    "parts and multiples": ["3 thirds", "half of 3", "5k", "5万", "{3}{4}"],
    "huge": ["9" * 61, "1e999", "10^{400}", "9^{9^{9}}", "9**9**9", "1" + "0" * LONGEST],
}


@pytest.mark.parametrize(
    ("text", "value"), [pytest.param(*pair, id=f"{kind}: {pair[0]}") for kind in VALUES for pair in VALUES[kind]]
)
def test_a_number_has_its_exact_value_however_it_is_written(text: str, value: Fraction | int | str) -> None:
    found = number_in(text)
    assert found is not None
    assert found.value == Fraction(value)
    assert found.text


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{kind}: {text[:20]}") for kind in NONE for text in NONE[kind]]
)
def test_what_is_not_exactly_one_number_is_none_whatever_is_around_it(text: str) -> None:
    for wrapper in ("{}", "${}$", r"\boxed{{{}}}", r"\text{{{}}}", "**{}**", "so it is {}", "({})", "{}."):
        # In a sentence a ! ends it.
        assert number_in(wrapper.format(text)) is None or (text, wrapper) == ("5!", "so it is {}"), wrapper


@pytest.mark.parametrize("text", [text for kind in NONE for text in NONE[kind] if "\n" not in text and '"' not in text])
def test_a_reference_that_is_no_number_is_refused_with_its_row_and_solves_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    rows = [{"question": "How many?", "answer": "#### 5"}, {"question": "And now?", "answer": f"#### {text}"}]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    with pytest.raises(DataError) as caught:
        EVALUATION_TASKS["gsm8k"].items(FileItems(path=path))
    assert [problem.field for problem in caught.value.problems] == ["row 2"]
    score = EVALUATION_TASKS["gsm8k"].score(Item("x", "How many?", "5"), rf"\boxed{{{text}}}")
    assert not score.solved


@pytest.mark.parametrize(
    "text", [pytest.param(pair[0], id=f"{kind}: {pair[0]}") for kind in VALUES for pair in VALUES[kind]]
)
def test_reference_and_response_read_alike(text: str) -> None:
    score = EVALUATION_TASKS["gsm8k"].score
    value = number_in(text)
    assert value is not None
    for response in (f"<answer>{text}</answer>", rf"<answer>\boxed{{{text}}}</answer>", f"<answer>{text}"):
        assert score(Item("x", "", text), response).solved, response
        assert score(Item("x", "", str(value.value)), response).solved, response
        assert not score(Item("x", "", str(value.value + 1)), response).solved, response


@pytest.mark.parametrize("number", range(5))
def test_the_reported_mixed_numbers_and_powers(number: int) -> None:
    task = EVALUATION_TASKS["gsm8k"]
    items = task.items(FileItems(path=CASES / "mixed_numbers_items.jsonl"))
    row = json.loads((CASES / "mixed_numbers_responses.jsonl").read_text("utf-8").splitlines()[number])
    assert task.score(items[number], row["response"]).solved == row["should"]


NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda n: (str(n), Fraction(n))),
    st.integers(0, 10**9).map(lambda n: (f"{n:,}", Fraction(n))),
    st.fractions(-99, 99, max_denominator=40).map(lambda f: (f"{f.numerator}/{f.denominator}", f)),
    st.fractions(-99, 99, max_denominator=40).map(lambda f: (rf"\frac{{{f.numerator}}}{{{f.denominator}}}", f)),
    st.tuples(st.integers(0, 99), st.integers(1, 8)).map(
        lambda pair: (rf"{pair[0]}\frac{{{pair[1]}}}{{9}}", pair[0] + Fraction(pair[1], 9))
    ),
    st.decimals(-999, 999, places=3).map(lambda d: (str(d), Fraction(d))),
    st.tuples(st.integers(1, 30), st.integers(0, 6)).map(
        lambda pair: (f"{pair[0]}^{{{pair[1]}}}", Fraction(pair[0]) ** pair[1])
    ),
    st.tuples(st.integers(1, 99), st.integers(1, 99)).map(
        lambda pair: (rf"{pair[0]} \cdot {pair[1]}", Fraction(pair[0] * pair[1]))
    ),
)
WRAPPERS = ("{}", "${}$", r"\boxed{{{}}}", r"\({}\)", "**{}**", "`{}`", "{}.", "{} eggs", r"{}\text{{ cm}}", "x = {}")


@given(NUMBERS, st.lists(st.sampled_from(WRAPPERS), max_size=3, unique=True))
def test_what_is_around_a_number_changes_nothing(number: tuple[str, Fraction], wrappers: list[str]) -> None:
    text, value = number
    for wrapper in wrappers:
        text = wrapper.format(text)
    found = number_in(text)
    assert found is not None, text
    assert found.value == value, text


@given(NUMBERS, NUMBERS, st.sampled_from([", ", " and ", " or ", "; ", "\n", " to ", " : "]))
def test_two_numbers_are_none(one: tuple[str, Fraction], other: tuple[str, Fraction], between: str) -> None:
    # "2 and 1/2" is a mixed number.
    assume(between != " and " or not ("/" in other[0] or "frac" in other[0]))
    assert number_in(f"{one[0]}{between}{other[0]}") is None


@given(st.lists(st.sampled_from([*"0123456789+-*/^(){}[].,:=$%!<>|_ \n", r"\frac", r"\sqrt", " and ", "½", "x"])))
def test_any_text_is_one_number_or_none_and_the_same_in_a_box(parts: list[str]) -> None:
    text = "".join(parts)
    found = number_in(text)
    if found is not None:
        again = number_in(found.text)
        assert again is not None
        assert again.value == found.value
        assert EVALUATION_TASKS["gsm8k"].score(Item("x", "", text), f"<answer>{text}</answer>").solved or "<" in text


ADVERSARIAL = [
    "(" * 999,
    "{" * 400 + "5" + "}" * 400,
    "-" * 998 + "5",
    "^" * 999,
    "2^" * 499 + "2",
    "1e300*" * 150 + "1",
    "2^1000*" * 120 + "1",
    "+".join(f"1/{number}" for number in range(2, 240)),
    "1," * 499,
    "1 111 " * 160,
    "=5" * 499,
    r"\frac{" * 160,
    "½" * 999,
    "**a" * 333,
    "0." + "3" * 900 + "...",
    "5" + " " * 990 + "x",
]


@pytest.mark.parametrize("text", ADVERSARIAL, ids=range(len(ADVERSARIAL)))
def test_a_hostile_answer_costs_less_than_a_second_of_the_processor(text: str) -> None:
    begun = time.process_time()
    number_in(text)
    number_answer(rf"\boxed{{{text}}}")
    assert time.process_time() - begun < 1
