"""Well-known data sets of the Hub, by short names. Imports nothing heavy: the web process asks it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A file of one of these kinds is a path, whatever else its name looks like.
_DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")


@dataclass(frozen=True)
class DatasetEntry:
    """A data set to learn from, and the part of it that is read unless another is asked for.

    `rows` is None where the number is not known, `licence` is the Hub's identifier and None where the data set names
    none. `config` is a folder or a part of the files' names. `revision` is a commit if the rows are pinned.
    """

    name: str
    title: str
    repository: str
    learned: str
    rows: int | None = None
    licence: str | None = None
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    used_by_paper: bool = False

    @property
    def source(self) -> dict[str, str]:
        """The fields of a `data.source` that reads this data set."""
        fields = {"config": self.config, "split": self.split, "revision": self.revision}
        given = {name: value for name, value in fields.items() if value is not None}
        return {"kind": "hub", "dataset": self.repository, **given}


DATASETS: tuple[DatasetEntry, ...] = (
    DatasetEntry(
        "s1k",
        "s1K",
        "simplescaling/s1K",
        "Hard questions with Gemini's reasoning and answer.",
        rows=1_000,
        licence="apache-2.0",
        revision="d070fdb085608970b8388905c78045b1f84085dc",
        used_by_paper=True,
    ),
    DatasetEntry(
        "s1k-1.1",
        "s1K-1.1",
        "simplescaling/s1K-1.1",
        "The questions of s1K with DeepSeek R1's reasoning and answer.",
        rows=1_000,
        licence="mit",
        used_by_paper=True,
    ),
    DatasetEntry(
        "openr1-math",
        "OpenR1-Math",
        "open-r1/OpenR1-Math-220k",
        "Mathematics problems with DeepSeek R1's reasoning and answer.",
        rows=93_733,
        licence="apache-2.0",
        config="data",
        revision="e4e141ec9dea9f8326f4d347be56105859b2bd68",
    ),
    DatasetEntry(
        "mixture-of-thoughts",
        "Mixture-of-Thoughts, mathematics",
        "open-r1/Mixture-of-Thoughts",
        "Mathematics problems with DeepSeek R1's reasoning and answer; code and science are other configurations.",
        rows=93_733,
        config="math",
    ),
    DatasetEntry(
        "gsm8k",
        "GSM8K, training problems",
        "openai/gsm8k",
        "Word problems with their solution in steps and the number after ####.",
        rows=7_473,
        licence="mit",
        config="main",
        revision="e53f048856ff4f594e959d75785d2c2d37b678ee",
    ),
    DatasetEntry(
        "math",
        "MATH, training problems",
        "DigitalLearningGmbH/MATH-lighteval",
        "Competition problems with their solution and the boxed answer.",
        rows=7_500,
        licence="mit",
        config="data",
        revision="0530c78699ea5e8eb5530600900e1f328b48acad",
    ),
    DatasetEntry(
        "metamath",
        "MetaMathQA",
        "meta-math/MetaMathQA",
        "Problems of GSM8K and MATH asked in other ways, with solutions.",
        rows=395_000,
        licence="mit",
    ),
    DatasetEntry(
        "openorca",
        "OpenOrca, answers of GPT-4",
        "Open-Orca/OpenOrca",
        "Instructions with explained answers.",
        licence="mit",
        split="1M-GPT4-Augmented",
    ),
    DatasetEntry(
        "slimorca",
        "SlimOrca",
        "Open-Orca/SlimOrca",
        "The answers of OpenOrca that were judged correct.",
        rows=517_982,
        licence="mit",
    ),
    DatasetEntry(
        "dolly",
        "Dolly 15k",
        "databricks/databricks-dolly-15k",
        "Instructions and answers written by people, some with a text to answer from.",
        rows=15_011,
        licence="cc-by-sa-3.0",
    ),
    DatasetEntry(
        "alpaca",
        "Alpaca",
        "tatsu-lab/alpaca",
        "Short instructions with answers, some with an input.",
        rows=52_002,
        licence="cc-by-nc-4.0",
    ),
    DatasetEntry(
        "ultrachat",
        "UltraChat 200k",
        "HuggingFaceH4/ultrachat_200k",
        "The last answer of conversations of several turns.",
        rows=207_865,
        licence="mit",
        split="train_sft",
    ),
    DatasetEntry(
        "openhermes",
        "OpenHermes 2.5",
        "teknium/OpenHermes-2.5",
        "The last answer of conversations and instructions.",
        rows=1_001_551,
    ),
)


def find_dataset(name: str) -> DatasetEntry | None:
    """Return the entry with this short name, in capitals or not; None if there is none."""
    return next((entry for entry in DATASETS if entry.name == name.lower()), None)


def kind_of(dataset: str) -> str:
    """Return the kind of source that a name means: short names and owner/name lie on the Hub, all others are files."""
    if find_dataset(dataset):
        return "hub"
    owner, *names = dataset.split("/")
    is_path = dataset.lower().endswith(_DATA_SUFFIXES) or len(names) != 1 or owner in ("", ".", "..", "~")
    return "file" if is_path else "hub"


def with_kind(source: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a `data.source` that leaves out its kind, and look up the short name of a data set.

    What is given beside a short name, such as another split, replaces what the catalogue has. Raises `ValueError` for a
    name that is neither a short name, nor owner/name, nor that of a file.
    """
    dataset, kind = source.get("dataset"), source.get("kind")
    if not isinstance(dataset, str):
        return {"kind": "file" if "dataset" in source else "task", **source}
    if kind not in (None, "hub"):
        return dict(source)
    entry = find_dataset(dataset)
    if entry:
        given = {name: value for name, value in source.items() if name not in ("kind", "dataset") and value is not None}
        return entry.source | given
    if kind is None and _is_bare(dataset):
        raise ValueError(
            f"There is no data set called {dataset!r}; the catalogue has {', '.join(each.name for each in DATASETS)}"
        )
    return {"kind": kind_of(dataset), **source}


def _is_bare(dataset: str) -> bool:
    """Whether a name can be neither a file nor a data set that a studio keeps."""
    return kind_of(dataset) == "file" and not dataset.startswith("ds_") and not ({"/", "\\", "."} & set(dataset))
