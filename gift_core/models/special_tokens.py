"""A checkpoint's tokenizer, with every token named that the method needs and a template that ends where it should."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast
from transformers.utils import CHAT_TEMPLATE_FILE

from gift_core.errors import ModelError
from gift_core.models import tiny
from gift_core.models.families.family import Family, Special
from gift_core.models.families.layout import Config
from gift_core.models.families.registry import FAMILIES
from gift_core.models.folder.templates import TemplateRefusedError, render
from gift_core.models.folder.tokenizer import check_tokenizer, faults_in_words
from gift_core.models.template_date import dated, pinned_date

# Stands for what a user writes, where a template is rendered to be looked at.
CONTENT = "\x00content\x00"
_END_OF_TURN = "eot_token"
# One of them makes a tokenizer: the library's own file, or the vocabularies of byte-level and of word-piece classes.
_SAMPLE = f"So {'a' * 40}, {'1' * 40} {' ' * 40}\n{'_' * 40}!"
_FILES = ("tokenizer.json", "vocab.json", "vocab.txt")


def read_tokenizer(directory: Path, family: Family, config: Config) -> PreTrainedTokenizerFast:
    """The tokenizer in `directory` with its mask, EOS, padding and end-of-turn tokens set, and a chat template that
    writes the same date on every day: `TEMPLATE_DATE`, or the one that a run has saved with it.

    Raises `ModelError` where one is missing, or where config and tokenizer name different masks.
    """
    tokenizer = files_of_tokenizer(directory, family.tokenizer)
    tokens = family.tokens
    tokenizer.mask_token = _mask(tokenizer, tokens.mask if tokens else None, config, directory.name)
    tokenizer.eos_token = _eos(tokenizer, tokens.eos if tokens else None, config, directory.name)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if tokens and not _named(tokenizer, _END_OF_TURN):
        if tokens.end_of_turn.token not in tokenizer.get_vocab():
            raise _lacks(directory.name, f"end-of-turn token {tokens.end_of_turn.token}")
        tokenizer.SPECIAL_TOKENS_ATTRIBUTES = [*tokenizer.SPECIAL_TOKENS_ATTRIBUTES, _END_OF_TURN]
        setattr(tokenizer, _END_OF_TURN, tokens.end_of_turn.token)
    if family.replaces_template or not has_usable_template(tokenizer):
        tokenizer.chat_template = family.chat_template
    return dated(tokenizer)


def with_date_of(tokenizer: PreTrainedTokenizerFast, saved: Path) -> PreTrainedTokenizerFast:
    """The tokenizer with the date that the chat template saved in a folder has, such as that of an adapter."""
    try:
        template = (saved / CHAT_TEMPLATE_FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return tokenizer
    day = pinned_date(template)
    return dated(tokenizer, day) if day else tokenizer


def files_of_tokenizer(directory: Path, kind: Any) -> PreTrainedTokenizerFast:
    """Load the tokenizer in `directory` with a class of transformers. Raises `ModelError`."""
    check_tokenizer(directory)
    try:
        with faults_in_words():
            tokenizer = kind.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
            tokenizer.encode(_SAMPLE)
    except ModelError:
        raise
    # transformers trusts these files: what is wrong in one may fail anywhere, with any exception.
    except Exception as error:
        raise _no_tokenizer(directory, error) from error
    return tokenizer


def _no_tokenizer(directory: Path, error: Exception) -> ModelError:
    """What to say of a folder whose tokenizer gave `error`."""
    there = any((directory / file).exists() for file in _FILES)
    why = " ".join(str(error).split())[:300] or type(error).__name__
    why = why if there else f"there is no {' or '.join(_FILES)}"
    return ModelError(
        f"No tokenizer can be read from {directory.name}: {why}",
        field="model.name",
        remedy="The folder must hold tokenizer.json, or the vocabulary of its class, and tokenizer_config.json.",
    )


def end_of_turn_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that ends an answer; EOS where the tokenizer has no token of its own for it."""
    named = _named(tokenizer, _END_OF_TURN)
    return int(tokenizer.convert_tokens_to_ids(named)) if named else int(tokenizer.eos_token_id)


def has_usable_template(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer's template renders a user's turn with its text in it once, unchanged."""
    if not tokenizer.chat_template:
        return False
    return rendered_turns(tokenizer, ["user"]) is not None


def rendered_turns(tokenizer: PreTrainedTokenizerFast, roles: Sequence[str]) -> list[str] | None:
    """What a template writes before, between and after the texts of turns with these roles, and the header of the
    answer at its end; None where it does not take them."""
    turns = [{"role": role, "content": CONTENT} for role in roles]
    try:
        template = tokenizer.get_chat_template()
        if template in _own_templates():
            text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        else:
            text = render(template, turns, tokenizer.special_tokens_map)
    # No template of several has the name that a conversation asks for.
    except (TemplateRefusedError, TemplateError, ValueError):
        return None
    parts = text.split(CONTENT)
    return parts if len(parts) == len(turns) + 1 else None


@cache
def _own_templates() -> frozenset[str]:
    """Those that come with the studio, which need no limits."""
    return frozenset({tiny.CHAT_TEMPLATE, *(family.chat_template for family in FAMILIES)})


def _mask(tokenizer: PreTrainedTokenizerFast, known: Special | None, config: Config, name: str) -> str:
    declared, own = config.get("mask_token_id"), tokenizer.mask_token_id
    if None not in (declared, own) and declared != own:
        raise ModelError(
            f"In {name}, config.json says that token {declared} is the mask, and the tokenizer says {own}.",
            field="model.name",
            remedy="Make mask_token_id in config.json and mask_token in tokenizer_config.json agree.",
        )
    return _token(tokenizer, [declared, own, known.id if known else None], config, "mask token", name)


def _eos(tokenizer: PreTrainedTokenizerFast, known: Special | None, config: Config, name: str) -> str:
    declared = config.get("eos_token_id")
    candidates = [
        tokenizer.eos_token_id,
        declared if isinstance(declared, int) else None,
        tokenizer.sep_token_id,
        known.id if known else None,
    ]
    return _token(tokenizer, candidates, config, "EOS token", name)


def _token(tokenizer: Any, candidates: list[int | None], config: Config, what: str, name: str) -> str:
    """The text of the first id there is."""
    id = next((candidate for candidate in candidates if candidate is not None), None)
    if not isinstance(id, int) or id < 0:
        raise _lacks(name, what)
    token = tokenizer.convert_ids_to_tokens(id)
    if token is None or id >= (config.get("vocab_size") or id + 1):
        raise _lacks(name, f"{what} with the id {id}")
    return str(token)


def _lacks(name: str, what: str) -> ModelError:
    return ModelError(
        f"{name} has no {what}.",
        field="model.name",
        remedy="Choose a masked diffusion model; its tokenizer names a mask_token and an eos_token.",
    )


def _named(tokenizer: Any, attribute: str) -> str | None:
    return getattr(tokenizer, attribute, None)
