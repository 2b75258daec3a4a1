"""Chat templates that ask for today's date write the same text on every day."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
import transformers.utils.chat_template_utils as rendering
from transformers import AutoTokenizer

from gift_core.data.examples import Example
from gift_core.data.files import FileContents
from gift_core.data.layouts import Layout
from gift_core.data.previews import preview
from gift_core.data.tokenisation import Encoder, tokenise_all
from gift_core.data_spec import TEMPLATE_DATE, DataSpec
from gift_core.errors import SpecError
from gift_core.export import ExportOptions, export
from gift_core.models.catalogue import find_model
from gift_core.models.loading import load_tokenizer, open_checkpoint
from gift_core.models.template_date import pinned_date, pinned_template
from gift_core.run import run_training
from gift_core.spec import RunSpec, SamplingSpec

# As Llama 3.1 and later write it.
LLAMA = (
    '{%- if not date_string is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}'
    "Today is {{ date_string }}. {{ messages[0]['content'] }}\n"
)
TODAY, NEXT_YEAR = datetime(2026, 11, 30, 23, 59, 59), datetime(2027, 3, 1, 12, 0)
DIRECTIVES = "aAbBhcCdDeFGHIjmMpSTuUVwWxXyYzZ"

Clock = Callable[[datetime], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the clock that transformers gives to templates."""

    def show(now: datetime) -> None:
        monkeypatch.setattr(rendering, "datetime", type("At", (datetime,), {"now": staticmethod(lambda: now)}))

    return show


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The tiny model, with a template that asks for the date."""
    folder = tmp_path / "base"
    shutil.copytree(find_model("tiny"), folder)
    (folder / "chat_template.jinja").write_text(LLAMA)
    return folder


def rendered(template: str) -> str:
    return str(rendering.render_jinja_template([[{"role": "user", "content": "hi"}]], chat_template=template)[0][0])


def written(folder: Path) -> str:
    """The prompt that a folder's tokenizer makes of "2"."""
    tokenizer = open_checkpoint(str(folder)).tokenizer
    return str(tokenizer.decode(Encoder(tokenizer).prompt("2")))


def test_a_prompt_is_the_same_on_any_day(base: Path, clock: Clock) -> None:
    clock(TODAY)
    first = written(base)
    clock(NEXT_YEAR)
    assert written(base) == first
    assert first == f"Today is {TEMPLATE_DATE:%d %b %Y}. 2"


@pytest.mark.parametrize("day", [date(2024, 7, 26), date(2025, 1, 5), date(2026, 12, 31)])
@pytest.mark.parametrize("directive", DIRECTIVES)
def test_every_directive_is_written_as_the_clock_of_that_day_would(day: date, directive: str, clock: Clock) -> None:
    template = f"<{{{{ strftime_now('%{directive} 100%%d') }}}}>"
    clock(datetime.combine(day, datetime.min.time()))
    assert rendered(pinned_template(template, day)) == rendered(template)


def test_leading_zeros_can_be_left_out() -> None:
    assert rendered(pinned_template("{{ strftime_now('%-d %-m %-H') }}", date(2025, 1, 5))) == "5 1 0"


@pytest.mark.parametrize("start", ["\n", "  ", "x\n", "{% set a = 1 %}\n", ""])
def test_nothing_else_of_a_template_changes(start: str, clock: Clock) -> None:
    template = start + LLAMA
    clock(datetime(2025, 1, 5))
    assert rendered(pinned_template(template, date(2025, 1, 5))) == rendered(template)


def test_a_date_is_replaced_by_another_and_found_again() -> None:
    first, second = date(2025, 1, 5), date(2026, 2, 6)
    pinned = pinned_template(LLAMA, first)
    assert pinned_date(pinned) == first
    assert pinned_template(pinned, second) == pinned_template(LLAMA, second)
    assert pinned_date(LLAMA) is None
    assert pinned_template("{{ messages[0]['content'] }}", first) == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_run_keeps_its_date_with_its_checkpoint(base: Path, tmp_path: Path, clock: Clock, adapter: str) -> None:
    clock(TODAY)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "2", "response": "4"}\n{"prompt": "3", "response": "6"}\n')
    spec = RunSpec().replace(
        {
            "model.name": str(base),
            "data": {"source": {"kind": "file", "dataset": str(rows)}, "template_date": "2025-01-05", "held_out": 0},
            "training": {"epochs": 1, "batch_size": 2, "adapter": adapter},
        }
    )
    run = tmp_path / "run"
    run_training(spec, run, Path)
    clock(NEXT_YEAR)
    assert RunSpec.from_yaml(run / "spec.yaml").data.template_date == date(2025, 1, 5)
    expected = "Today is 05 Jan 2025. 2"
    assert written(run) == expected
    export(run, tmp_path / "whole", ExportOptions(layout="merged"))
    assert written(tmp_path / "whole") == expected
    if adapter == "lora":
        export(run, tmp_path / "part", ExportOptions(layout="adapter"))
        adapted = AutoTokenizer.from_pretrained(tmp_path / "part")
        assert adapted.decode(Encoder(adapted).prompt("2")) == expected


def test_examples_and_previews_have_the_date_of_the_spec(base: Path, clock: Clock) -> None:
    clock(TODAY)
    tokenizer, example = load_tokenizer(str(base)), Example(1, "2", "4")
    data = DataSpec(template_date=date(2025, 1, 5))
    [made] = tokenise_all([example], tokenizer, data, SamplingSpec(), 512).examples
    [other] = tokenise_all([example], tokenizer, DataSpec(), SamplingSpec(), 512).examples
    assert made.input_ids != other.input_ids
    contents = FileContents(["prompt", "response"], Layout("pairs", "prompt", "response"), [example])
    [shown] = preview(contents, tokenizer, data, SamplingSpec(), 512, slice(0, 1)).examples
    assert tuple(token.id for token in shown.prompt) == made.input_ids[: made.prompt_length]


@pytest.mark.parametrize("wrong", [0, 86400, "0", "2024-7-26", "2024-07-26T00:00:00", "2024-02-30", "today", None])
def test_what_is_no_date_is_refused(wrong: object) -> None:
    with pytest.raises(SpecError) as caught:
        DataSpec.parse({"template_date": wrong})
    assert caught.value.problems[0].field == "template_date"
