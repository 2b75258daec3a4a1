"""The tokenizer of a model folder: its patterns may be wrong, search for ever, or make much of little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gift_core.errors import ModelError
from gift_core.models.folder.documents import read_document, unusable

# How much longer all replacements together may make a text: published tokenizers put one character in place of another.
_LONGEST = 256
_STEPS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def check_tokenizer(directory: Path) -> None:
    """Raise `ModelError` where the steps of tokenizer.json would make a text many times as long."""
    path = directory / "tokenizer.json"
    if not path.exists():
        return
    document, growth = read_document(path), 1
    for step in _STEPS:
        for each in _replacements(document.get(step)):
            growth *= max(1, len(str(each)))
            if growth > _LONGEST:
                raise unusable(path, f"its {step} would make texts more than {_LONGEST} times as long")


@contextmanager
def faults_in_words() -> Iterator[None]:
    """Turn what the library behind a tokenizer does where a pattern fails into a `ModelError`.

    It leaves its own language by an exception that is no `Exception`, so that it would end a thread of the server.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise ModelError(
            f"The model's tokenizer cannot take this text apart: {' '.join(str(error).split())[:200]}.",
            field="model.name",
            remedy="Look at the patterns in its tokenizer.json, or choose another model.",
        ) from error


def _replacements(step: Any) -> Iterator[Any]:
    """What is put in place of something, or in front of it, in a step and in those that it consists of."""
    if isinstance(step, Mapping):
        if step.get("type") == "Replace":
            yield step.get("content", "")
        elif step.get("type") == "Prepend":
            yield f" {step.get('prepend', '')}"
        for value in step.values():
            yield from _replacements(value)
    elif isinstance(step, list):
        for value in step:
            yield from _replacements(value)
