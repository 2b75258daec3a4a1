"""How much faster the denoiser is than LLaDA's published sampler, where both write the same.

The tiny base answers problems of its own; the random models get prompts as long as GSM8K's. The published sampler takes
as long for one block as for another, and so does ours without an early stop: with several rows, the first is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from _common import (
    SEED,
    Shape,
    alternate,
    print_heading,
    print_table,
    random_model,
    ratio,
    use_one_thread,
)
from _llada_sampler import llada_steps
from torch import Tensor

from gift_core.data.tokenisation import Encoder
from gift_core.models.loading import DiffusionModel, load_base
from gift_core.sampling import denoise_steps, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks.registry import TASKS

# The last one's head has the share of LLaDA-8B's: 7 % of the weights that multiply.
SHAPES = (Shape(126_464), Shape(32_000), Shape(2_048))
# The median question of GSM8K with the headers of a chat template.
PROMPT_LENGTH = 65
ROUNDS = 3
TARGET = 1.5
GSM8K = SamplingSpec(length=128, block_length=32, steps=64, stop_early=False)


@dataclass(frozen=True)
class Case:
    """What is denoised; `steps` are timed, from the first on."""

    name: str
    model: DiffusionModel
    shape: Shape
    prompts: Tensor
    sampling: SamplingSpec
    steps: int

    def published(self) -> Tensor:
        """Responses [batch, length] of the published sampler."""
        return _last(islice(llada_steps(self.model, self.prompts, self.sampling), self.steps))

    def ours(self) -> Tensor:
        """Ours."""
        steps = denoise_steps(self.model, self.prompts.tolist(), self.sampling)
        return _last(step.tokens for step in islice(steps, self.steps))

    def bound(self) -> float:
        """The ratio of multiply-adds, if all rows go on to the last step."""
        batch, begin = self.prompts.shape
        length = begin + self.sampling.length
        body = self.steps * self.shape.body(batch, length)
        per_step = self.sampling.length // self.sampling.steps
        steps_per_block = self.sampling.block_length // per_step
        opened = sum(self.sampling.block_length - per_step * (step % steps_per_block) for step in range(self.steps))
        published = body + self.shape.head(self.steps * batch * length)
        return published / (body + self.shape.head(batch * opened))


def _last(states: Iterator[Tensor]) -> Tensor:
    *_, last = states
    return last.clone()


def same(case: Case) -> str:
    """What of the two outputs is identical: all tokens, or at least the texts; raises where it is neither."""
    published, ours = case.published(), case.ours()
    if torch.equal(published, ours):
        return "tokens"
    texts = [[text_of(case.model, ids) for ids in each.tolist()] for each in (published, ours)]
    if case.sampling.stop_early and texts[0] == texts[1]:
        return "text"
    raise AssertionError(f"{case.name}: the outputs differ")


def cases() -> Iterator[Case]:
    """One at a time: a model is forgotten before the next is made."""
    yield from _tiny_cases()
    for shape in SHAPES:
        model = random_model(shape)
        model.network.eval()
        prompts = torch.randint(2, shape.vocabulary, (4, PROMPT_LENGTH))
        alone = Case(str(shape), model, shape, prompts[:1], GSM8K, GSM8K.steps)
        yield alone
        yield replace(alone, prompts=prompts, steps=GSM8K.steps * GSM8K.block_length // GSM8K.length)


def _tiny_cases() -> Iterator[Case]:
    """Word problems: their prompts are equally long. The first setting is the studio's own."""
    model = load_base("tiny")
    config = model.network.config
    shape = Shape(
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
        config.num_attention_heads,
    )
    problems = TASKS["word_problems"].generate(SEED, "standard", 0, 8)[1]
    prompts = torch.tensor([Encoder(model.tokenizer).prompt(problem.prompt) for problem in problems])
    for name, sampling in (
        ("tiny base, 48 / 48 / 24", SamplingSpec(stop_early=False)),
        ("tiny base, 128 / 32 / 64", GSM8K),
        ("the same, early stop", GSM8K.model_copy(update={"stop_early": True})),
    ):
        for batch in (1, 8):
            yield Case(name, model, shape, prompts[:batch], sampling, sampling.steps)


def measure(case: Case) -> list[str]:
    """The table's row of one case."""
    identical = same(case)
    works: dict[str, list[Callable[[], object]]] = {"published": [case.published], "ours": [case.ours]}
    seconds = alternate(works, ROUNDS)
    each = [first / second for first, second in zip(seconds["published"], seconds["ours"], strict=True)]
    return [
        case.name,
        str(len(case.prompts)),
        identical,
        f"{1000 * min(seconds['published']) / case.steps:.1f}",
        f"{ratio(seconds['published'], seconds['ours']):.2f}",
        f"{min(each):.2f} to {max(each):.2f}",
        "" if case.sampling.stop_early else f"{case.bound():.2f}",
        f">= {TARGET}",
    ]


def main() -> None:
    """Print the table."""
    use_one_thread()
    print_heading("LLaDA's published sampler against the denoiser: how many times as long it takes", "fp32")
    heads = ["vocabulary / body", "rows", "identical", "published ms/step", "speed-up", "rounds", "bound", "target"]
    print_table(heads, [measure(case) for case in cases()])


if __name__ == "__main__":
    main()
