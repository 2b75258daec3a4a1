"""Token ids as readable text: bytes of one character merged into one glyph, special tokens by name."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from gift_core.documents import Token

_INCOMPLETE = "\ufffd"
# A UTF-8 character has at most four bytes; what has not become text by then never will.
_LONGEST_GLYPH = 4


def tokens_of(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> list[Token]:
    """One `Token` per id; consecutive tokens that only together decode to text share a glyph."""
    special = set(tokenizer.all_special_ids)
    tokens: list[Token] = []
    start = glyph = 0
    while start < len(ids):
        if ids[start] in special:
            name = str(tokenizer.convert_ids_to_tokens(ids[start]))
            tokens.append(Token(id=ids[start], text=name, special=True, glyph=glyph))
            width = 1
        else:
            width, text = _next_glyph(tokenizer, ids[start:], special)
            tokens.append(Token(id=ids[start], text=text, glyph=glyph))
            tokens += [Token(id=part, text="", glyph=glyph) for part in ids[start + 1 : start + width]]
        start += width
        glyph += 1
    return tokens


def _next_glyph(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], special: set[int]) -> tuple[int, str]:
    for width in range(1, min(_LONGEST_GLYPH, len(ids)) + 1):
        if ids[width - 1] in special:
            break
        text = tokenizer.decode(list(ids[:width]))
        if _INCOMPLETE not in text:
            return width, text
    return 1, f"⟨{tokenizer.convert_ids_to_tokens(ids[0])}⟩"
