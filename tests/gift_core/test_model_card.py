"""The card says what was done and what came of it, the Hub can read it, and no name that a user chose can break it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gift_core.finished_run import FinishedRun, Result, Score
from gift_core.model_card import Exported, code_span, fenced, model_card
from gift_core.provenance import ExampleSet, Provenance
from gift_core.spec import Method, RunSpec
from gift_core.statistics import wilson_interval

SECTIONS = ["Method", "How to load it", "Results", "Data", "Spec", "Versions", "Citation", "Licence"]
HOSTILE = [
    "x\n---\nlicense: mit\n---\n# Mine",
    "```\n# Mine\n```",
    "``` `` ` ````",
    "a | b\n| --- |\n<script>alert(1)</script>",
    "](javascript:alert(1)) ![x](y) **b** \\` &lt;",
    "'\"\x85\u2028 # {a}: [b] !!python/object:os.system",
]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def finished(changes: dict[str, Any] | None = None, base: str = "tiny", score: Score | None = None) -> FinishedRun:
    provenance = Provenance(
        training=ExampleSet(examples=1000, sha256="a" * 64),
        held_out=ExampleSet(examples=256, sha256="b" * 64),
        versions={"torch": "2.13.0", "peft": "0.21.2"},
    )
    losses = {"final_loss": 0.5, "held_out_loss": 0.25}
    result = Result(base=base, steps=160, seconds=61.4, score=score, provenance=provenance, **losses)
    spec = RunSpec().replace({"model.name": base, **(changes or {})})
    return FinishedRun(Path("runs/gift"), spec, result, {"peak_memory_bytes": 2.0**30})


def card(run: FinishedRun, layout: Any = "merged", location: str = ".") -> str:
    return model_card(Exported(run, layout, location, dtype="float32"))


def tokens(text: str) -> list[Token]:
    """The Markdown below the front matter, as GitHub and the Hub read it."""
    body = ModelCard(text).text
    found = MarkdownIt("commonmark").enable("table").parse(body)
    return [*found, *(child for token in found for child in token.children or ())]


def headings(text: str) -> list[str]:
    found = tokens(text)
    return [after.content for token, after in pairwise(found) if token.type == "heading_open"]


def block(text: str, language: str) -> str:
    (found,) = [token.content for token in tokens(text) if token.type == "fence" and token.info == language]
    return found


def test_a_card_has_every_section_and_the_spec_as_it_was() -> None:
    run = finished()
    text = card(run)
    assert headings(text)[1:] == SECTIONS
    assert RunSpec.parse(yaml.safe_load(block(text, "yaml"))) == run.spec
    for said in ("160", "61 s", "1,024 MiB", "0.2500 nats per response token", "1,000", "a" * 64, "torch `2.13.0`"):
        assert said in text
    assert "eprint        = {2509.20863}" in block(text, "bibtex")


def test_the_hub_reads_base_licence_library_and_tags() -> None:
    run = finished(base=f"GSAI-ML/LLaDA-8B-Instruct@{COMMIT}")
    data = ModelCard(card(run, "adapter", "me/mine")).data.to_dict()
    assert data == {
        "base_model": "GSAI-ML/LLaDA-8B-Instruct",
        "base_model_relation": "adapter",
        "license": "mit",
        "library_name": "peft",
        "tags": ["gift-studio", "masked-diffusion", "gift"],
    }
    assert "PeftModel.from_pretrained(base.network, 'me/mine')" in card(run, "adapter", "me/mine")


@pytest.mark.parametrize(
    ("base", "identifier", "said"),
    [
        ("tiny", "apache-2.0", "Apache-2.0"),
        (f"Dream-org/Dream-v0-Base-7B@{COMMIT}", "apache-2.0", "Apache-2.0"),
        (f"GSAI-ML/LLaDA-1.5@{COMMIT}", "mit", "MIT"),
        (f"someone/model@{COMMIT}", "other", "see the base ([its page](https://huggingface.co/someone/model))"),
        ("/home/me/models/mine", "other", "see the base"),
    ],
)
def test_the_licence_is_that_of_the_base(base: str, identifier: str, said: str) -> None:
    text = card(finished(base=base))
    assert ModelCard(text).data.license == identifier
    assert said in text.split("## Licence")[1]


def test_a_folder_is_no_base_model_of_the_hub() -> None:
    for base in ("tiny", "/home/me/models/mine", "models/mine"):
        text = card(finished(base=base))
        assert "base_model" not in ModelCard(text).data.to_dict()
        assert "models/" not in text


def test_a_score_is_claimed_with_its_n_and_interval_and_none_is_made_up() -> None:
    low, high = wilson_interval(64, 256)
    text = card(finished(score=Score(correct=64, n=256, share=0.25, low=low, high=high)))
    (entry,) = ModelCard(text).data.eval_results
    assert (entry.metric_type, entry.metric_value) == ("accuracy", 0.25)
    assert entry.metric_name == "share solved, n = 256, 95 % Wilson interval 0.201 to 0.306"
    assert "64 of n = 256, 25.0%; 95 % Wilson interval 20.1% to 30.6%" in text
    without = card(finished())
    assert "model-index" not in ModelCard(without).data.to_dict()
    assert "Wilson" not in without


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize("weighting", ["inverse", "elbo"])
def test_the_method_is_told_as_the_run_used_it(method: str, weighting: str) -> None:
    changes = {"objective.method": method, "objective.weighting": weighting, "objective.power": 0.75}
    told = card(finished(changes)).split("## Method\n")[1].split("\n## ")[0].strip().split("\n\n")
    assert told[0].count(". ") == 1, "two sentences"
    assert "{" not in told[0]
    is_rated = method in ("gift", "shuffled", "nll")
    assert len(told) == 1 + is_rated
    if is_rated:
        assert ("not a bound" in told[1]) == (weighting == "inverse")
    assert ("H_i ** 0.75" in told[0]) == (method == "gift")
    assert ("control" in told[0]) == (method not in ("sft", "gift"))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("layout", ["adapter", "merged", "published"])
def test_a_users_text_cannot_break_out_of_the_card(text: str, layout: str) -> None:
    source = {"kind": "file", "dataset": text, "prompt_column": text, "response_column": text}
    score = Score(correct=1, n=2, share=0.5, low=0.1, high=0.9)
    run = finished({"data.source": source}, base=text, score=score)
    written = card(run, layout)
    assert headings(written)[1:] == SECTIONS
    data = ModelCard(written).data.to_dict()
    assert (data["license"], data["license_name"]) == ("other", "see-the-base")
    assert data["model-index"][0]["name"].endswith(run.base.title)
    assert {token.type for token in tokens(written)}.isdisjoint({"html_block", "html_inline", "image"})
    assert [token.attrs["href"] for token in tokens(written) if token.type == "link_open"] == []
    spec = RunSpec.parse(yaml.safe_load(block(written, "yaml")))
    assert spec.data.source.prompt_column == text
    compile(block(written, "python"), "README.md", "exec")


@pytest.mark.parametrize("text", HOSTILE)
def test_inline_code_and_blocks_hold_any_text(text: str) -> None:
    parsed = MarkdownIt("commonmark").parse(f"before {code_span(text)} after")
    assert [token.type for token in parsed] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = [token.type for token in parsed[1].children or ()]
    assert kinds == ["text", "code_inline", "text"]
    (whole,) = MarkdownIt("commonmark").parse(fenced(text, "text"))
    assert whole.content.rstrip() == text.rstrip()


def test_the_snippet_names_the_class_that_loads_the_model() -> None:
    exported = Exported(finished(), "merged", "me/bert", "AutoModelForMaskedLM", "bfloat16")
    assert "network = AutoModelForMaskedLM.from_pretrained('me/bert')" in block(model_card(exported), "python")
    assert "(bfloat16)" in model_card(exported)


def test_a_four_bit_base_is_said_to_be_whole_again() -> None:
    changes = {"model.quantisation": "nf4", "training.adapter": "lora"}
    assert "quantised to nf4" in card(finished(changes))
    assert "quantised" not in card(finished())
