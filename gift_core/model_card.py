"""The README.md of an export: what was trained, how, on what, what came of it, and how to load it.

Names of models, files and columns come from users. In the front matter they are YAML strings; in the text they stand
in code spans and code blocks whose fences are longer than any run of backticks in them, so none can end them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from gift_core.data_spec import TaskSource
from gift_core.finished_run import FinishedRun, Score
from gift_core.provenance import Base, ExampleSet
from gift_core.spec import ExportLayout, Method, Weighting

_CONTROL = "This is a control for GIFT (Guided Importance-Aware Fine-Tuning), not GIFT itself. "
# Two sentences for each method; `{weight}` is one of `_WEIGHTS`.
_METHODS: dict[Method, str] = {
    "sft": "Plain supervised fine-tuning of a masked diffusion model: a share `t` of the response is masked, `t` "
    "uniform, every token alike. The cross-entropy of the masked tokens is weighted by `1 / t`.",
    "gift": "GIFT (Guided Importance-Aware Fine-Tuning) asks the model how unsure it is of every response token and "
    "masks token i at the rate `H_i ** {power:g}`, `H_i` being its entropy. At diffusion time `t` the token is masked "
    "with probability `t_i = 1 - (1 - t) ** r_i`, `r_i` being its rate relative to the reference, and its "
    "cross-entropy is weighted by `{weight}`.",
    "shuffled": _CONTROL + "The masking rates are GIFT's, permuted inside each response, so that they have no link to "
    "the entropy of the token that they fall on; the weight is `{weight}`.",
    "nll": _CONTROL + "The masking rates are made from `-log p` of the true token instead of the model's entropy; the "
    "weight is `{weight}`.",
    "simple": _CONTROL + "Every token is masked with probability `t`, and the cross-entropy is weighted by `r_i / t`, "
    "`r_i` being GIFT's relative rates.",
    "cart": _CONTROL + "Every token is masked with probability `t`, and the cross-entropy is weighted by the visible "
    "neighbours, the nearest most (Dream, arXiv 2508.15487).",
}
_WEIGHTS: dict[Weighting, str] = {"inverse": "1 / t_i", "elbo": "r_i (1 - t) ** (r_i - 1) / t_i"}
# What is said of the weighting, for the methods that have a choice of it.
_RATED: tuple[Method, ...] = ("gift", "shuffled", "nll")
_WEIGHTINGS: dict[Weighting, str] = {
    "inverse": "This weight, `inverse`, is that of the paper's Algorithm. It leaves out the density of the masking "
    "time, so the training loss is not a bound on `-log p(x)`. Nor does it change what a token weighs on average, "
    "which is 1 as under SFT: what changes is in which contexts tokens are seen, and the variance.",
    "elbo": "This weight, `elbo`, makes the training loss a bound on `-log p(x)`, as long as the rates are fixed; the "
    "paper's Algorithm weighs by `1 / t_i`.",
}
_CITATION = """\
@misc{xu2025gift,
  title         = {{GIFT}: Guided Importance-Aware Fine-Tuning for Diffusion Language Models},
  author        = {Guowei Xu and Wenxin Xu and Jiawang Zhao and Kaisheng Ma},
  year          = {2025},
  eprint        = {2509.20863},
  archivePrefix = {arXiv}
}
"""
_LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT"}


@dataclass(frozen=True)
class Exported:
    """What a card is about. `location` is owner/name on the Hub, or "." for the folder that the card lies in.

    `model_class` is the class of transformers that loads the merged weights; `dtype` is what they are stored in.
    """

    run: FinishedRun
    layout: ExportLayout
    location: str = "."
    model_class: str = "AutoModelForCausalLM"
    dtype: str = ""


def model_card(exported: Exported) -> str:
    """Markdown with a front matter that the Hub accepts."""
    run = exported.run
    front = yaml.safe_dump(_front_matter(exported), sort_keys=False, allow_unicode=True, width=10_000)
    sections = {
        "Method": _method(run),
        "How to load it": _loading(exported),
        "Results": _results(run),
        "Data": _data(run),
        "Spec": "`gift train` on this file gives the same numbers on the same machine, with the same data.\n\n"
        + fenced(run.public_spec.to_yaml(), "yaml"),
        "Versions": _versions(run),
        "Citation": fenced(_CITATION, "bibtex"),
        "Licence": _licence(run.base),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{front}---\n\n# {_title(exported)}\n\n{_summary(exported)}\n\n{body}\n"


def code_span(text: str) -> str:
    """`text` as inline code, on one line: nothing in it can end the span or mean anything in Markdown."""
    line = " ".join(text.split()) or " "
    ticks = "`" * (_longest_run(line) + 1)
    # A space beside a backtick belongs to the fence.
    padding = " " if "`" in (line[0], line[-1]) else ""
    return f"{ticks}{padding}{line}{padding}{ticks}"


def fenced(text: str, language: str) -> str:
    """`text` as a code block that nothing in it can end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _front_matter(exported: Exported) -> dict[str, Any]:
    run, base = exported.run, exported.run.base
    is_adapter = exported.layout == "adapter"
    front: dict[str, Any] = {}
    if base.hub:
        front["base_model"] = base.hub.repository
        front["base_model_relation"] = "adapter" if is_adapter else "finetune"
    front |= _licence_fields(base)
    front["library_name"] = "peft" if is_adapter else "transformers"
    front["tags"] = ["gift-studio", "masked-diffusion", run.spec.objective.method]
    front["tags"] += ["lora"] if run.is_adapter else []
    if run.result.score:
        front["model-index"] = [_index_entry(run, run.result.score)]
    return front


def _licence_fields(base: Base) -> dict[str, str]:
    if base.licence:
        return {"license": base.licence}
    link = {"license_link": f"https://huggingface.co/{base.hub.repository}"} if base.hub else {}
    return {"license": "other", "license_name": "see-the-base", **link}


def _index_entry(run: FinishedRun, score: Score) -> dict[str, Any]:
    metric = {
        "type": "accuracy",
        "name": f"share solved, n = {score.n}, 95 % Wilson interval {score.low:.3f} to {score.high:.3f}",
        "value": round(score.share, 4),
    }
    result = {
        "task": {"type": "text-generation", "name": "Masked diffusion, zero-shot"},
        "dataset": {"type": _task(run), "name": f"{_task(run)}, generated, held out"},
        "metrics": [metric],
    }
    return {"name": f"{run.spec.objective.method.upper()} of {run.base.title}", "results": [result]}


def _task(run: FinishedRun) -> str:
    source = run.spec.data.source
    return source.task if isinstance(source, TaskSource) else "task"


def _title(exported: Exported) -> str:
    run = exported.run
    what = " (LoRA adapter)" if exported.layout == "adapter" else ""
    return f"{run.spec.objective.method.upper()} fine-tune of {code_span(run.base.title)}{what}"


def _summary(exported: Exported) -> str:
    run = exported.run
    how = "with a LoRA adapter" if run.is_adapter else "all weights"
    kind = {
        "adapter": "These are the adapter's weights alone; the base is loaded beside them.",
        "merged": f"The weights are whole{', the adapter merged into them' if run.is_adapter else ''}, "
        f"in transformers' own layout ({exported.dtype}).",
        "published": f"The weights are whole{', the adapter merged into them' if run.is_adapter else ''}, "
        f"in the layout of the base's authors ({exported.dtype}).",
    }[exported.layout]
    quantised = (
        f" The base was quantised to {run.spec.model.quantisation} while the adapter was trained; the weights here "
        "belong to the base as it was published, and may answer a little differently."
        if run.spec.model.quantisation != "none"
        else ""
    )
    return (
        f"A masked diffusion language model, trained from {code_span(run.base.name)} ({how}) with gift-studio. "
        f"It fills in masked tokens in any order: it has no left-to-right `generate`. {kind}{quantised}"
    )


def _method(run: FinishedRun) -> str:
    objective = run.spec.objective
    described = _METHODS[objective.method].format(power=objective.power, weight=_WEIGHTS[objective.weighting])
    return f"{described}\n\n{_WEIGHTINGS[objective.weighting]}" if objective.method in _RATED else described


def _loading(exported: Exported) -> str:
    place = "this folder" if exported.location == "." else code_span(exported.location)
    snippet, note = _snippet(exported)
    denoise = f"gift denoise {exported.location}" if exported.location == "." else "gift denoise FOLDER"
    return (
        f"{note}\n\n{fenced(snippet, 'python')}\n\n"
        f"To watch it fill in a prompt step by step, from a copy of {place}:\n\n{fenced(denoise, 'sh')}"
    )


def _snippet(exported: Exported) -> tuple[str, str]:
    """Python that loads the export, and the sentence before it."""
    location = repr(exported.location)
    if exported.layout == "published":
        return (
            "from pathlib import Path\n\n"
            "from gift_core.models.loading import load_checkpoint\n\n"
            'model = load_checkpoint(Path("."))  # a folder: download the repository first\n'
            "network, tokenizer = model.network, model.tokenizer",
            "Config and weights have the names that the authors' own code expects: follow the base's model card, with "
            "this model's name for the base's. Without their code, gift-studio loads it:",
        )
    if exported.layout == "merged":
        return (
            f"from transformers import AutoTokenizer, {exported.model_class}\n\n"
            f"tokenizer = AutoTokenizer.from_pretrained({location})\n"
            f"network = {exported.model_class}.from_pretrained({location})",
            "Plain transformers loads it, and looks both ways:",
        )
    return _adapter_snippet(exported.run.base, location)


def _adapter_snippet(base: Base, location: str) -> tuple[str, str]:
    if base.bundled:
        return (
            "from gift_core.models.catalogue import find_model\n"
            "from peft import PeftModel\n"
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            f"base = AutoModelForCausalLM.from_pretrained(find_model({base.name!r}))\n"
            f"network = PeftModel.from_pretrained(base, {location})\n"
            f"tokenizer = AutoTokenizer.from_pretrained({location})",
            f"The base {code_span(base.name)} comes with gift-studio and is not on the Hub, so peft cannot fetch it by "
            "itself: install gift-studio, and hand peft the base from there.",
        )
    fetch = f"fetch it with {code_span(f'gift download {base.name}')}" if base.hub else "give the folder it lies in"
    return (
        "from gift_core.models.loading import load_base\n"
        "from peft import PeftModel\n"
        "from transformers import AutoTokenizer\n\n"
        f"base = load_base({base.reference!r})\n"
        f"network = PeftModel.from_pretrained(base.network, {location})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({location})",
        f"Plain peft puts the adapter onto the base; gift-studio loads the base without remote code ({fetch}).",
    )


def _results(run: FinishedRun) -> str:
    result, peak = run.result, run.values.get("peak_memory_bytes")
    rows = [
        ("loss on held-out examples, the same objective for every method", _nats(result.held_out_loss)),
        ("training loss, last report", "" if result.final_loss is None else f"{result.final_loss:.4f}"),
        (f"held-out {_task(run)} solved", _solved(result.score) if result.score else ""),
        ("optimiser steps", f"{result.steps:,}"),
        ("time", f"{result.seconds:,.0f} s"),
        ("peak memory", f"{peak / 2**20:,.0f} MiB" if peak else ""),
    ]
    return "| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in rows if value)


def _nats(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.4f} nats per response token"


def _solved(score: Score) -> str:
    return (
        f"{score.correct:,} of n = {score.n:,}, {score.share:.1%}; "
        f"95 % Wilson interval {score.low:.1%} to {score.high:.1%}"
    )


def _data(run: FinishedRun) -> str:
    provenance = run.result.provenance
    if provenance is None:
        return "The run recorded no fingerprint of its examples."
    return (
        f"| | examples | SHA-256 |\n| --- | --- | --- |\n"
        f"| training | {_examples(provenance.training)} |\n| held out | {_examples(provenance.held_out)} |\n\n"
        "The digest is of one line of JSON per example, `[id, prompt, response]` in ASCII, in order."
    )


def _examples(found: ExampleSet) -> str:
    return f"{found.examples:,} | `{found.sha256}`"


def _versions(run: FinishedRun) -> str:
    versions = run.result.provenance.versions if run.result.provenance else {}
    named = ", ".join(f"{package} {code_span(version)}" for package, version in versions.items())
    return f"Trained with {named}." if named else "The run recorded no versions."


def _licence(base: Base) -> str:
    if base.licence:
        return f"These weights are derived from {code_span(base.name)}, which is under {_LICENCES[base.licence]}."
    where = f" ([its page](https://huggingface.co/{base.hub.repository}))" if base.hub else ""
    return f"These weights are derived from {code_span(base.name)}: for their licence, see the base{where}."
