"""Each family's special tokens, chat template and positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gift_core.data.tokenisation import Encoder
from gift_core.models.families.registry import FAMILIES
from gift_core.models.loading import context_length, load_base, load_tokenizer
from tests.gift_core import checkpoints
from tests.gift_core.checkpoints import WRITERS
from tests.gift_core.looking import logits, refusal


def test_the_published_ids_are_the_defaults() -> None:
    found = {
        family.name: (family.tokens.mask.id, family.tokens.eos.id, family.tokens.end_of_turn.id)
        for family in FAMILIES
        if family.tokens
    }
    assert found == {"llada": (126336, 126081, 126348), "dream": (151666, 151643, 151645)}


def test_the_prompt_is_a_strict_prefix_of_the_conversation(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    question = [{"role": "user", "content": "2 + 2?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    answered = [*question, {"role": "assistant", "content": "4"}]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    assert whole.startswith(prompt)
    rest = whole.removeprefix(prompt)
    assert rest.startswith("4")
    assert rest.count("assistant") == 0


@pytest.mark.parametrize(
    ("name", "prompt", "end"),
    [
        (
            "llada",
            "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
        ),
        (
            "dream",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
            "<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        ("bert", "[CLS] hi [SEP]", "[SEP]"),
        ("eurobert", "<|begin_of_text|>hi\n", "<|end_of_text|>"),
        ("qwen3", "hi\n", "<|endoftext|>"),
    ],
)
def test_prompt_and_answer_are_written_as_the_family_does(tmp_path: Path, name: str, prompt: str, end: str) -> None:
    tokenizer = load_tokenizer(str(WRITERS[name](tmp_path / name)))
    encoder = Encoder(tokenizer)
    assert tokenizer.decode(encoder.prompt("hi")) == prompt
    response, tail = encoder.response("ok", "one", 8)
    assert tokenizer.decode(response[-2:]) == end + tokenizer.eos_token or end == tokenizer.eos_token
    assert (tail, response[-1]) == (1, tokenizer.eos_token_id)


def test_a_template_of_its_own_is_kept_unless_it_loses_the_text(tmp_path: Path) -> None:
    folder = WRITERS["llama"](tmp_path / "it")
    template = folder / "chat_template.jinja"
    template.write_text("Q: {{ messages[0]['content'] }} A:")
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.decode(Encoder(tokenizer).prompt("hi")) == "Q: hi A:"
    template.write_text("Q and A")
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.decode(Encoder(tokenizer).prompt("hi")) == "hi\n"


def test_positions_that_cannot_be_used_are_not_counted(tmp_path: Path) -> None:
    assert context_length(str(WRITERS["dream"](tmp_path / "dream"))) == 2048
    assert context_length(str(WRITERS["llada"](tmp_path / "llada"))) == checkpoints.CONTEXT
    roberta = checkpoints.write_masked_lm(tmp_path / "roberta", "roberta", pad_token_id=1)
    usable = context_length(str(roberta))
    assert usable == checkpoints.CONTEXT - 2
    model = load_base(str(roberta))
    assert logits(model, torch.full((1, usable), 9)).isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        logits(model, torch.full((1, usable + 1), 9))


def test_a_missing_or_contradictory_mask_is_named(tmp_path: Path) -> None:
    assert "mask token with the id 5000" in refusal(checkpoints.write_llada(tmp_path / "a", mask_token_id=5000))
    folder = checkpoints.write_dream(tmp_path / "b", mask_token_id=7)
    assert "config.json says that token 7 is the mask" in refusal(folder)
    assert "has no mask token" in refusal(checkpoints.write_causal(tmp_path / "c", "llama", is_causal=False))
    folder = checkpoints.write_llada(tmp_path / "d")
    checkpoints.byte_tokenizer(checkpoints.LLADA_TOKENS[:3], eos_token="<|endoftext|>").save_pretrained(folder)
    assert "end-of-turn token <|eot_id|>" in refusal(folder)
