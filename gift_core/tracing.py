"""A denoising run as a `Trace`: what each step saw and committed, apart from how it is played back."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder
from gift_core.documents import Candidate, Commit, Trace, pack
from gift_core.errors import SpecError
from gift_core.models.head import entropy
from gift_core.models.loading import DiffusionModel
from gift_core.sampling import Step, denoise_steps, maximum_entropy, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks.registry import judge

TOP_K = 5


def trace(
    model: DiffusionModel, prompt: str, sampling: SamplingSpec, seed: int, *, checkpoint: str, label: str
) -> Trace:
    """Denoise `prompt` and record every step; raises `SpecError` when it does not fit the context."""
    prompt_ids = Encoder(model.tokenizer).prompt(prompt)
    if len(prompt_ids) + sampling.length > model.context_length:
        raise SpecError(
            f"The prompt has {len(prompt_ids)} tokens; with {sampling.length} to generate that is more than the "
            f"model's context of {model.context_length}.",
            field="prompt",
            remedy="Shorten the prompt or lower sampling.length.",
        )
    started = time.perf_counter()
    recorder = _Recorder(model, sampling.length)
    ids: list[int] = []
    for step in denoise_steps(model, [prompt_ids], sampling, seed, read_everything=True):
        recorder.add(step)
        ids = step.tokens[0].tolist()
    text = text_of(model, ids)
    verdict = judge(prompt, text)
    return Trace(
        checkpoint=checkpoint,
        label=label,
        prompt=tokens_of(model.tokenizer, prompt_ids),
        vocabulary_size=model.vocabulary_size,
        length=sampling.length,
        block_length=sampling.block_length,
        steps=recorder.commits,
        entropy=pack(np.stack(recorder.entropy)),
        confidence=pack(np.stack(recorder.confidence)),
        response=tokens_of(model.tokenizer, ids),
        text=text,
        seconds=time.perf_counter() - started,
        forward_passes=len(recorder.commits),
        verdict=verdict.text if verdict else "",
    )


class _Recorder:
    def __init__(self, model: DiffusionModel, length: int) -> None:
        self.model = model
        self.length = length
        self.commits: list[list[Commit]] = []
        self.entropy: list[np.ndarray] = []
        self.confidence: list[np.ndarray] = []

    def add(self, step: Step) -> None:
        """Record one step of a batch of one."""
        masked = step.read[0].cpu().numpy()
        probabilities = step.logits.float().softmax(-1)
        # A committed position is certain: no entropy is left, and its confidence is 1.
        uncertainty, confidence = np.zeros(self.length), np.ones(self.length)
        uncertainty[masked] = entropy(step.logits).cpu().numpy() / maximum_entropy(self.model.vocabulary_size)
        confidence[masked] = probabilities.max(-1).values.cpu().numpy()
        self.entropy.append(uncertainty)
        self.confidence.append(confidence)
        rows = {position: row for row, position in enumerate(np.flatnonzero(masked).tolist())}
        self.commits.append(
            [
                self._commit(position, int(step.tokens[0, position]), probabilities[rows[position]])
                for position in step.committed[0].nonzero()[:, 0].tolist()
            ]
        )

    def _commit(self, position: int, token: int, probabilities: torch.Tensor) -> Commit:
        return Commit(
            position=position,
            token=tokens_of(self.model.tokenizer, [token])[0],
            confidence=float(probabilities[token]),
            top=candidates(self.model, probabilities, TOP_K),
        )


def candidates(model: DiffusionModel, probabilities: torch.Tensor, count: int) -> list[Candidate]:
    """The `count` most probable tokens of one position: [vocabulary] -> [count]."""
    values, ids = probabilities.topk(min(count, len(probabilities)))
    shown: Sequence[int] = ids.tolist()
    return [
        Candidate(token=tokens_of(model.tokenizer, [token])[0], probability=value)
        for token, value in zip(shown, values.tolist(), strict=True)
    ]
