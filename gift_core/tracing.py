"""Denoise one prompt and write down every step, as it happens."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder
from gift_core.documents import Candidate, Token, pack
from gift_core.errors import SpecError
from gift_core.models.folder.tokenizer import faults_in_words
from gift_core.models.loading import DiffusionModel
from gift_core.provenance import package_versions
from gift_core.sampling import Start, Step, denoise_steps, text_of
from gift_core.spec import SamplingSpec
from gift_core.tasks.registry import judge
from gift_core.trace import Branch, Edit, Frame, Standing, Trace, TraceEnd, TraceStart

TOP_K = 5
TraceEvent = TraceStart | Frame | TraceEnd


@dataclass(frozen=True)
class Beginning:
    """What stands in the response before the first step, whose branch this is, and how many frames led there."""

    standing: tuple[Standing, ...] = ()
    first_step: int = 0
    branch: Branch | None = None
    played: int = 0

    def start(self) -> Start:
        """The same for the denoiser. What was edited counts as placed: the steps that are left keep their schedule."""
        given = {each.position: each.token for each in self.standing if each.kind == "given"}
        placed = {each.position: each.token for each in self.standing if each.kind != "given"}
        return Start(given, placed, self.first_step)


def infill(model: DiffusionModel, edits: Sequence[Edit], length: int) -> Beginning:
    """A response in which some text is given; raises `SpecError` that names the edit."""
    tokens = _ids_of(model, edits, length)
    for number, edit in enumerate(edits):
        if edit.text is None:
            raise SpecError("There is no text.", field=f"edits.{number}.text", remedy="Enter what is to stand there.")
    given = ((position, token) for position, token in tokens.items() if token is not None)
    return Beginning(tuple(Standing(position=position, token=token, kind="given") for position, token in given))


def branch(trace: Trace, cursor: int, edits: Sequence[Edit], model: DiffusionModel, identity: str) -> Beginning:
    """The state of `trace` after `cursor` frames, with `edits` made; without any it ends as `trace` does.

    Raises `SpecError` where there is no such state or an edit does not fit.
    """
    if cursor > len(trace.frames):
        raise SpecError(
            f"The trace has {len(trace.frames)} steps.", field="cursor", remedy="Branch at one of them, or at its end."
        )
    if model.vocabulary_size != trace.start.vocabulary_size:
        raise SpecError(
            f"The trace is of a model with {trace.start.vocabulary_size:,} tokens, this one has "
            f"{model.vocabulary_size:,}.",
            field="checkpoints",
            remedy="Branch with the trace's own model, or one that was fine-tuned from it.",
        )
    standing = {each.position: each for each in trace.start.standing}
    for position, token in trace.tokens_at(cursor).items():
        standing.setdefault(position, Standing(position=position, token=token, kind="placed"))
    for position, edited in _ids_of(model, edits, trace.length).items():
        before = standing.pop(position, None)
        if edited is not None:
            # What was given still is, so that the steps that are left keep their schedule.
            kind = "given" if before and before.kind == "given" else "edited"
            standing[position] = Standing(position=position, token=edited, kind=kind)
    return Beginning(
        # Older traces may have committed the mask token: those positions are open.
        tuple(each for each in standing.values() if each.token != model.mask_id),
        trace.step_at(cursor),
        Branch(trace=identity, cursor=cursor),
        trace.start.played + cursor,
    )


def trace_steps(
    model: DiffusionModel,
    prompt: str,
    sampling: SamplingSpec,
    seed: int,
    *,
    checkpoint: str,
    label: str,
    beginning: Beginning | None = None,
) -> Iterator[TraceEvent]:
    """Denoise `prompt` and yield what a `Trace` consists of, each part as soon as it is known.

    Close the iterator to cancel. Raises `SpecError` where the prompt does not fit the context.
    """
    prompt_ids = Encoder(model.tokenizer).prompt(prompt)
    if len(prompt_ids) + sampling.length > model.context_length:
        raise SpecError(
            f"The prompt has {len(prompt_ids)} tokens; with {sampling.length} to generate that is more than the "
            f"model's context of {model.context_length}.",
            field="prompt",
            remedy="Shorten the prompt or lower sampling.length.",
        )
    beginning = beginning or Beginning()
    started = time.perf_counter()
    recorder = _Recorder(model, sampling.length)
    yield TraceStart(
        version=2,
        checkpoint=checkpoint,
        label=label,
        prompt_text=prompt,
        prompt=tokens_of(model.tokenizer, prompt_ids),
        vocabulary_size=model.vocabulary_size,
        mask=tokens_of(model.tokenizer, [model.mask_id])[0],
        sampling=sampling,
        seed=seed,
        first_step=beginning.first_step,
        standing=list(beginning.standing),
        branch=beginning.branch,
        played=beginning.played,
        new_tokens=recorder.new_tokens([each.token for each in beginning.standing]),
        versions=package_versions(),
    )
    ids = {each.position: each.token for each in beginning.standing}
    for step in denoise_steps(model, [prompt_ids], sampling, seed, starts=[beginning.start()], top_k=TOP_K):
        frame = recorder.frame(step)
        ids |= zip(frame.positions, frame.tokens, strict=True)
        yield frame
    yield trace_end(model, prompt, ids, sampling, time.perf_counter() - started)


def trace_end(
    model: DiffusionModel, prompt: str, ids: Mapping[int, int], sampling: SamplingSpec, seconds: float
) -> TraceEnd:
    """How a response ends whose token `ids` are known by position."""
    response = [ids.get(position, model.mask_id) for position in range(sampling.length)]
    text = text_of(model, response)
    verdict = judge(prompt, text)
    return TraceEnd(
        response=tokens_of(model.tokenizer, response),
        text=text,
        outcome="finished" if len(ids) == sampling.length else "stopped early",
        seconds=seconds,
        verdict=verdict.text if verdict else "",
    )


def trace(
    model: DiffusionModel,
    prompt: str,
    sampling: SamplingSpec,
    seed: int,
    *,
    checkpoint: str,
    label: str,
    beginning: Beginning | None = None,
) -> Trace:
    """`trace_steps` all at once."""
    return assembled(
        trace_steps(model, prompt, sampling, seed, checkpoint=checkpoint, label=label, beginning=beginning)
    )


def assembled(events: Iterable[TraceEvent]) -> Trace:
    """The trace that a start, frames and an end, in this order, make."""
    starts: list[TraceStart] = []
    frames: list[Frame] = []
    ends: list[TraceEnd] = []
    for event in events:
        match event:
            case TraceStart():
                starts.append(event)
            case Frame():
                frames.append(event)
            case TraceEnd():
                ends.append(event)
    (start,), (end,) = starts, ends
    return Trace(start=start, frames=frames, end=end)


class _Recorder:
    def __init__(self, model: DiffusionModel, length: int) -> None:
        self._model = model
        self._length = length
        self._known: set[int] = set()

    def frame(self, step: Step) -> Frame:
        """One step of a batch of one."""
        seen = step.predictions
        masked = step.read[0]
        committed = step.committed[0]
        # Of the predictions, those of the positions that were committed.
        chosen = committed[masked]
        tokens, top = seen.token[chosen].tolist(), seen.top_token[chosen].tolist()
        return Frame(
            step=int(step.numbers[0]),
            positions=committed.nonzero()[:, 0].tolist(),
            tokens=tokens,
            confidence=_rounded(seen.probability[chosen]),
            top=top,
            top_probability=_rounded(seen.top_probability[chosen]),
            entropy=self._packed(masked, seen.entropy / math.log(self._model.vocabulary_size), fixed=0),
            best=self._packed(masked, seen.top_probability[:, 0], fixed=1),
            new_tokens=self.new_tokens([*tokens, *chain.from_iterable(top)]),
        )

    def new_tokens(self, ids: Sequence[int]) -> list[Token]:
        """Those of `ids` that were not asked for before, as they are drawn one by one."""
        new = [token for token in dict.fromkeys(ids) if token not in self._known]
        self._known.update(new)
        return [tokens_of(self._model.tokenizer, [token])[0] for token in new]

    def _packed(self, masked: Tensor, values: Tensor, fixed: float) -> str:
        whole = torch.full((self._length,), fixed, dtype=torch.float32)
        whole[masked.cpu()] = values.float().cpu()
        return pack(whole.numpy())


def candidates(model: DiffusionModel, probabilities: Tensor, count: int) -> list[Candidate]:
    """The `count` most probable tokens of one position: [vocabulary] -> [count]."""
    values, ids = probabilities.topk(min(count, len(probabilities)))
    shown: Sequence[int] = ids.tolist()
    return [
        Candidate(token=tokens_of(model.tokenizer, [token])[0], probability=value)
        for token, value in zip(shown, values.tolist(), strict=True)
    ]


def _ids_of(model: DiffusionModel, edits: Sequence[Edit], length: int) -> dict[int, int | None]:
    """The token that each edit puts at each position, None for the mask, also where a text spells it.

    A text takes as many positions as it has tokens.
    """
    ids: dict[int, int | None] = {}
    for number, edit in enumerate(edits):
        tokens: list[int | None] = [None]
        if edit.text is not None:
            with faults_in_words():
                encoded = model.tokenizer.encode(edit.text, add_special_tokens=False)
            tokens = [None if token == model.mask_id else token for token in encoded]
        if edit.position + len(tokens) > length:
            raise SpecError(
                f"The text has {len(tokens)} tokens; from position {edit.position} on there are "
                f"{max(0, length - edit.position)}.",
                field=f"edits.{number}",
                remedy="Shorten it, or let it begin earlier.",
            )
        ids |= dict(enumerate(tokens, edit.position))
    return ids


def _rounded(values: Tensor) -> Any:
    """As nested lists, to four decimals: what a picture needs."""
    return values.double().clamp(0, 1).mul(1e4).round().div(1e4).tolist()
