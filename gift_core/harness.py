"""A checkpoint as a model of the lm-evaluation-harness. Needs the `harness` extra.

The harness looks for models in a fixed list of its own and has no entry points, but what registers itself before it
runs is found. So `gift lm-eval` imports this module and hands over to the harness's command line, and a program that
imports it may call `lm_eval.simple_evaluate(model="gift", ...)`. Tasks, few-shot examples, metrics and output are the
harness's.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from pydantic import Field, PositiveInt
from tqdm import tqdm

from gift_core.cli_common import fetch
from gift_core.data.tokenisation import Encoder
from gift_core.errors import SpecError
from gift_core.likelihood import log_likelihood_bound
from gift_core.models.loading import EVERYWHERE, open_checkpoint
from gift_core.sampling import denoise, text_of
from gift_core.section import Section, Seed
from gift_core.spec import SamplingSpec


class HarnessOptions(Section):
    """What `--model_args` may hold, and what the harness adds of its own."""

    pretrained: str = Field(description="A base model by name, owner/name of the Hub, or a run's folder.")
    device: str | None = Field(None, description="The harness sends cuda:0 unless told: the CPU where there is no GPU.")
    batch_size: PositiveInt | Literal["auto"] = Field(1, description="Sequences per forward pass; auto is 16.")
    max_batch_size: PositiveInt | None = Field(None, description="Accepted because the harness sends it; unused.")
    chat: bool = Field(True, description="The context is a user's turn. False: it is text that the answer continues.")
    mc_samples: PositiveInt = Field(128, description="Masks per answer for its log-likelihood.")
    seed: Seed = Field(0, description="Keys those masks, and the noise at a temperature above 0.")
    length: PositiveInt | None = Field(None, description="Tokens to generate; the task's max_gen_toks when left out.")
    block_length: PositiveInt | None = Field(None, description="Tokens denoised together; the family's when left out.")
    steps: PositiveInt | None = Field(None, description="Denoising steps; one per token when left out.")

    @property
    def place(self) -> str:
        return (self.device or EVERYWHERE) if torch.accelerator.is_available() else "cpu"

    @property
    def rows(self) -> int:
        return 16 if self.batch_size == "auto" else self.batch_size


@register_model("gift")
class GiftLM(LM):
    """A masked diffusion model as the harness sees one: it generates by denoising and bounds log-likelihoods."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.options = HarnessOptions.parse(arguments)
        fetch(self.options.pretrained)
        self.model = open_checkpoint(self.options.pretrained, self.options.place)
        self.encoder = Encoder(self.model.tokenizer)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Texts up to the first of the strings in `until`."""
        groups: dict[tuple[SamplingSpec, int], list[int]] = defaultdict(list)
        seen: Counter[str] = Counter()
        for place, request in enumerate(requests):
            context, arguments = request.args
            # Asked again, a sampled answer is another draw.
            groups[self._sampling(arguments), seen[context]].append(place)
            seen[context] += 1
        answers = [""] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm) as bar:
            for (sampling, again), places in groups.items():
                prompts = [self._prompt(requests[place].args[0], sampling.length) for place in places]
                for part, ids in self._denoised(prompts, sampling, self.options.seed + again):
                    place = places[part]
                    context, arguments = requests[place].args
                    answers[place] = cut(text_of(self.model, ids), _until(arguments))
                    self.cache_hook.add_partial("generate_until", (context, arguments), answers[place])
                    bar.update()
        return answers

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The bound on log p of each continuation in nats, and whether greedy denoising would write it."""
        pairs = [self._pair(*request.args) for request in requests]
        greedy = self._written_greedily(pairs)
        found = []
        for request, pair, is_greedy in zip(tqdm(requests, disable=disable_tqdm), pairs, greedy, strict=True):
            found.append((self._bound(*pair), is_greedy))
            self.cache_hook.add_partial("loglikelihood", request.args, found[-1])
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Refused: raises `SpecError`."""
        raise SpecError(
            "The perplexity of running text is not what a masked diffusion model bounds: its likelihood is of an "
            "answer of known length.",
            field="--tasks",
            remedy="Choose tasks of the kinds generate_until, multiple_choice or loglikelihood.",
        )

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Refused, since the template is applied to every context anyway: raises `SpecError`."""
        raise SpecError(
            "gift applies the model's chat template to every context itself.",
            field="--apply_chat_template",
            remedy="Leave it out; --model_args chat=false turns the template off.",
        )

    @property
    def tokenizer_name(self) -> str:
        return self.options.pretrained

    def get_model_info(self) -> dict[str, Any]:
        """What the harness writes down beside its results."""
        return {"gift": self.options.model_dump(mode="json")}

    def _sampling(self, arguments: dict[str, Any]) -> SamplingSpec:
        """Raises `SpecError` where length, block and steps do not go together."""
        usual, options = self.model.family.sampling, self.options
        block = options.block_length or min(usual.block_length, options.length or usual.block_length)
        # A task says how much it needs; models learn to stop within whole blocks.
        wanted = int(arguments.get("max_gen_toks") or usual.length)
        length = options.length or -(-wanted // block) * block
        temperature = float(arguments.get("temperature") or 0) if arguments.get("do_sample") else 0.0
        values = {"length": length, "block_length": block, "steps": options.steps or length, "temperature": temperature}
        return SamplingSpec.parse(usual.model_dump() | values)

    def _prompt(self, context: str, to_come: int) -> list[int]:
        ids = self.encoder.prompt(context) if self.options.chat else self.encoder.text(context)
        if len(ids) + to_come > self.model.context_length:
            raise SpecError(
                f"A context of {len(ids)} tokens and {to_come} to come are more than the {self.model.context_length} "
                "that the model can attend to.",
                field="--num_fewshot",
                remedy="Give fewer examples, or generate fewer tokens: --model_args length=...",
            )
        # Where a position is read from the one before it, the first one of a row cannot be read.
        return ids or [self.model.eos_id]

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """A prompt and an answer as ids. A turn of its own does not begin with the space that continued text has."""
        answer = self.encoder.text(continuation.lstrip() if self.options.chat else continuation)
        return self._prompt(context, len(answer)), answer

    def _bound(self, prompt: list[int], answer: list[int]) -> float:
        options = self.options
        return log_likelihood_bound(
            self.model, prompt, answer, samples=options.mc_samples, seed=options.seed, rows=options.rows
        )

    def _written_greedily(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[bool]:
        """Whether denoising each answer's length, one token a step and at temperature 0, gives the answer."""
        lengths: dict[int, list[int]] = defaultdict(list)
        for place, (_, answer) in enumerate(pairs):
            lengths[len(answer)].append(place)
        greedy = [True] * len(pairs)
        for length, places in lengths.items():
            if not length:
                continue
            sampling = SamplingSpec.parse({"length": length, "block_length": length, "steps": length})
            for part, ids in self._denoised([pairs[place][0] for place in places], sampling, 0):
                greedy[places[part]] = ids == pairs[places[part]][1]
        return greedy

    def _denoised(
        self, prompts: Sequence[list[int]], sampling: SamplingSpec, seed: int
    ) -> Iterator[tuple[int, list[int]]]:
        """Each prompt's place and the ids written for it, prompts of like length together."""
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        for start in range(0, len(order), self.options.rows):
            places = order[start : start + self.options.rows]
            yield from zip(
                places, denoise(self.model, [prompts[place] for place in places], sampling, seed), strict=True
            )


def cut(text: str, until: Sequence[str]) -> str:
    """`text` up to the first of the strings in `until`; empty ones end nothing."""
    found = [text.find(end) for end in until if end and end in text]
    return text[: min(found)] if found else text


def _until(arguments: dict[str, Any]) -> list[str]:
    until = arguments.get("until") or []
    return [until] if isinstance(until, str) else list(until)


def evaluate(arguments: Sequence[str]) -> None:
    """The harness's own `run` command on a `gift` model; it takes its arguments from nowhere but sys.argv."""
    before = sys.argv
    sys.argv = ["lm_eval", "run", "--model", "gift", *arguments]
    try:
        cli_evaluate()
    finally:
        sys.argv = before
