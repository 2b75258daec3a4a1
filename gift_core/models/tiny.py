"""The bundled tiny base: a bidirectional Llama with a small vocabulary that reads as text, built from nothing.

It is plain transformers throughout (`AutoModelForCausalLM` loads it), so what is exercised on it is LLaDA's own path.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY_SIZE = 1024
CONTEXT_LENGTH = 1024
WIDTH, LAYERS = 192, 5
_EMBEDDING_GAIN, _RESIDUAL_GAIN = 7.0, 0.3
EOS, MASK, END_OF_TURN, USER, ASSISTANT = "<|eos|>", "<|mask|>", "<|eot|>", "<|user|>", "<|assistant|>"

# Ordinary text, and one token each.
_TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")
# A word or a sign with the space in front of it, and single digits, which look the same everywhere.
_PIECES = Regex(r"[0-9]| ?[\p{L}\p{M}]+| ?[^\s\p{L}\p{M}0-9]|\s")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|eot|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE over `texts` whose tokens read as words, signs and single digits; it can encode any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[EOS, MASK, END_OF_TURN, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in _TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        mask_token=MASK,
        extra_special_tokens={"eot_token": END_OF_TURN, "user_token": USER, "assistant_token": ASSISTANT},
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def new_network(tokenizer: PreTrainedTokenizerFast, *, width: int = WIDTH, layers: int = LAYERS) -> LlamaForCausalLM:
    """Randomly initialised weights from torch's current seed."""
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=max(1, width // 32),
            max_position_embeddings=CONTEXT_LENGTH,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            # transformers' 0.02 suits widths of thousands: here all attention would start out uniform, and copying from
            # the prompt be learned ten times later, if at all.
            initializer_range=width**-0.5,
            is_causal=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )
    # At this scale the layers' random outputs would drown the token that a position holds: it starts out louder and
    # they start out quieter.
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "embed_tokens" in name:
                weight *= _EMBEDDING_GAIN
            elif "o_proj" in name or "down_proj" in name:
                weight *= _RESIDUAL_GAIN
    return network
