"""What a GIFT step costs next to an SFT step, and what reading the head only at masked positions saves.

Prints ratios of medians over alternating measurements in one process: `python benchmarks/training_step.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gift_core.models.forward import logits_at
from gift_core.objectives import corrupt, cross_entropy, entropy, rates, reduce_loss
from gift_core.spec import ObjectiveSpec

ROWS, PROMPT, RESPONSE, MASK_ID = 8, 48, 80, 1
ROUNDS = 7


def network(vocabulary: int) -> LlamaForCausalLM:
    """A bidirectional Llama whose head weighs as much as its body."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=8,
            is_causal=False,
        )
    )


class Step:
    """One forward and backward pass of an objective on a fixed batch."""

    def __init__(self, model: LlamaForCausalLM, method: str) -> None:
        self.model = model
        self.spec = ObjectiveSpec(method=method)
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(2, model.config.vocab_size, (ROWS, PROMPT + RESPONSE), generator=generator)
        self.response = torch.arange(PROMPT + RESPONSE).expand(ROWS, -1) >= PROMPT
        self.t = torch.linspace(0.1, 0.9, ROWS)
        self.u = torch.rand(self.ids.shape, generator=generator)

    def _rates(self) -> torch.Tensor:
        if self.spec.method == "sft":
            return rates(self.spec, None, self.response)
        uncertainty = torch.zeros(self.ids.shape)
        with torch.no_grad():
            probe = self.ids.masked_fill(self.response, MASK_ID)
            uncertainty[self.response] = entropy(logits_at(self.model, probe, None, self.response))
        return rates(self.spec, uncertainty, self.response)

    def masked_head(self) -> None:
        """The head at masked positions only, as the trainer does."""
        corruption = corrupt(self._rates(), self.t, self.u, self.spec.weighting)
        logits = logits_at(self.model, self.ids.masked_fill(corruption.masked, MASK_ID), None, corruption.masked)
        losses = cross_entropy(logits, self.ids[corruption.masked])
        reduce_loss(losses, corruption, self.response, "token", ROWS * RESPONSE).backward()

    def full_head(self) -> None:
        """Full logits and their cross-entropy at every position, then the mask: the plain recipe."""
        corruption = corrupt(self._rates(), self.t, self.u, self.spec.weighting)
        logits = self.model(self.ids.masked_fill(corruption.masked, MASK_ID)).logits
        losses = cross_entropy(logits.flatten(0, 1), self.ids.flatten()).view_as(self.ids)[corruption.masked]
        reduce_loss(losses, corruption, self.response, "token", ROWS * RESPONSE).backward()


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratio(one: Callable[[], None], other: Callable[[], None]) -> float:
    """How many times as long `one` takes as `other`: the median over alternating pairs, after one warm-up."""
    pairs = [(seconds(one), seconds(other)) for _ in range(ROUNDS + 1)][1:]
    return statistics.median(first / second for first, second in pairs)


def main() -> None:
    """Print the table."""
    print(f"{ROWS} rows of {PROMPT} prompt and {RESPONSE} response tokens, {torch.get_num_threads()} threads")
    print(f"{'vocabulary':>10}  {'GIFT / SFT':>10}  {'full head / masked head (SFT)':>30}")
    for vocabulary in (512, 32_000):
        model = network(vocabulary)
        sft, gift = Step(model, "sft"), Step(model, "gift")
        cost = ratio(gift.masked_head, sft.masked_head)
        saving = ratio(sft.full_head, sft.masked_head)
        print(f"{vocabulary:>10}  {cost:>10.2f}  {saving:>30.2f}")


if __name__ == "__main__":
    main()
