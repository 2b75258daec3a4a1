"""What kind of token it is, told from its text: numbers, words, symbols, tags, whitespace, the EOS tail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from gift_core.documents import Token

TokenClass = Literal["number", "symbol", "word", "tag", "whitespace", "tail"]
TOKEN_CLASSES: tuple[TokenClass, ...] = get_args(TokenClass)

_TAG = re.compile(r"</?[A-Za-z][\w-]*>")


def classes_of(tokens: Sequence[Token], tail_length: int) -> list[TokenClass]:
    """The class of each token of a response whose last `tail_length` tokens are its EOS tail.

    `tag`: special tokens, and whatever a tag such as <answer> is made of. `word`: holds a letter. `number`: holds a
    digit and no letter. `whitespace`: nothing else. `symbol`: the rest, operators and punctuation. Tokens of one glyph
    share a class.
    """
    tagged = _in_tags(tokens)
    end = len(tokens) - tail_length
    classes: list[TokenClass] = []
    for place, token in enumerate(tokens):
        if place >= end:
            classes.append("tail")
        elif token.special or tagged[place]:
            classes.append("tag")
        elif not token.text and classes:
            classes.append(classes[-1])
        else:
            classes.append(_class_of(token.text))
    return classes


def _class_of(text: str) -> TokenClass:
    if not text.strip():
        return "whitespace"
    if any(character.isalpha() for character in text):
        return "word"
    return "number" if any(character.isdigit() for character in text) else "symbol"


def _in_tags(tokens: Sequence[Token]) -> list[bool]:
    """Whether a token has a part in a tag, which may be written with several."""
    # A special token has a name and no text: it neither makes nor joins a tag.
    texts = ["\0" if token.special else token.text for token in tokens]
    tags = [match.span() for match in _TAG.finditer("".join(texts))]
    found, start = [], 0
    for text in texts:
        end = start + len(text)
        found.append(any(start < tag_end and tag_start < end for tag_start, tag_end in tags))
        start = end
    return found
