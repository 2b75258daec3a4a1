"""A denoising run as data, apart from its playback: what docs/trace.md describes.

A trace is a start, frames and an end; the same three are streamed while it is being made. Like the other documents it
imports neither torch nor transformers.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError
from pydantic import model_validator as check

from gift_core.config.texts import StorableTexts
from gift_core.documents import Document, PackedBytes, Token, unpack
from gift_core.errors import SpecError
from gift_core.files import write_whole
from gift_core.section import Seed
from gift_core.spec import SamplingSpec

# The largest trace there can be, 4,096 steps of 4,096 tokens, is 45 MB of entropies and confidences.
_LARGEST_FILE = 64 * 2**20
Position = Annotated[int, Field(ge=0, lt=4096)]
TokenId = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Edit(Document, StorableTexts):
    """Text that is to stand from a position of the response on; None masks the position again."""

    position: Position
    text: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class Standing(Document):
    """A token that stands before the first step: given as part of the task, placed by the trace that this one goes
    on, or edited where it left that."""

    position: Position
    token: TokenId
    kind: Literal["given", "placed", "edited"]


class Branch(Document):
    """Where a trace left another: at which of its cursors, the number of frames that had been played."""

    trace: str
    cursor: Annotated[int, Field(ge=0)]


class TraceStart(Document):
    """Everything that is known before the first step. With `sampling`, `seed` and the model it decides the rest."""

    version: Literal[2]
    checkpoint: str
    label: str
    prompt_text: str
    prompt: list[Token]
    vocabulary_size: Annotated[int, Field(ge=2)]
    mask: Token
    sampling: SamplingSpec
    seed: Seed
    first_step: Annotated[int, Field(ge=0)] = 0
    standing: list[Standing] = Field([], description="What stands before the first step.")
    branch: Branch | None = None
    played: Annotated[int, Field(ge=0)] = Field(
        0, description="Frames that led to what stands: of all traces that a branch goes on from, one after the other."
    )
    new_tokens: list[Token] = Field([], description="Tokens that `standing` refers to.")
    versions: dict[str, str] = Field({}, description="Of the packages that computed it.")


class Frame(Document):
    """One step of one response: what it saw and what it committed. Tokens are told by their ids."""

    step: Annotated[int, Field(ge=0)] = Field(
        description="The response's own step, counted over all blocks. Steps that commit nothing have no frame."
    )
    positions: list[Position]
    tokens: list[TokenId] = Field(description="What was committed there, [positions].")
    confidence: list[Probability] = Field(description="Their probabilities without temperature, [positions].")
    top: list[list[TokenId]] = Field(description="The most probable tokens there, [positions, k].")
    top_probability: list[list[Probability]]
    entropy: PackedBytes = Field(
        description="Before the step as a share of ln(vocabulary), uint8 [length]; 0 if fixed."
    )
    best: PackedBytes = Field(description="Probability of the most probable token before the step, uint8 [length].")
    new_tokens: list[Token] = Field(description="Tokens that no earlier frame referred to.")


class TraceEnd(Document):
    response: list[Token] = Field(description="The response, glyphs merged; the mask where nothing was committed.")
    text: str = Field(description="The response up to its end of turn.")
    outcome: Literal["finished", "stopped early", "cancelled"]
    seconds: float
    verdict: str = Field("", description="How the answer scored, when the prompt came from a task.")


class Trace(Document):
    """Entropies and confidences of all frames: `entropies` and `best` [frames, length]."""

    start: TraceStart
    frames: list[Frame]
    end: TraceEnd

    @check(mode="after")
    def _arrays_fit(self) -> Trace:
        length = self.length
        for number, frame in enumerate(self.frames):
            aligned = (frame.tokens, frame.confidence, frame.top, frame.top_probability)
            if any(len(values) != len(frame.positions) for values in aligned):
                raise ValueError(f"frame {number} has not as many tokens as positions")
            if any(len(unpack(packed)) != length for packed in (frame.entropy, frame.best)):
                raise ValueError(f"frame {number} has not a byte for each of {length} positions")
        self._check_references()
        if len(self.end.response) != length:
            raise ValueError(f"the response has {len(self.end.response)} tokens, not {length}")
        return self

    def _check_references(self) -> None:
        """Every position is in the response and committed once, and every token is told before it is referred to."""
        free = set(range(self.length)) - {each.position for each in self.start.standing}
        if any(each.position >= self.length for each in self.start.standing):
            raise ValueError(f"a standing token is beyond the {self.length} positions")
        told = {token.id for token in self.start.new_tokens}
        if not {each.token for each in self.start.standing} <= told:
            raise ValueError("a standing token is not among the new tokens")
        for number, frame in enumerate(self.frames):
            if len(set(frame.positions)) < len(frame.positions) or not set(frame.positions) <= free:
                raise ValueError(f"frame {number} commits a position that is not there or was committed before")
            free -= set(frame.positions)
            told |= {token.id for token in frame.new_tokens}
            if not {*frame.tokens, *(token for top in frame.top for token in top)} <= told:
                raise ValueError(f"frame {number} refers to a token that was not told")
        if any(token >= self.start.vocabulary_size for token in told):
            raise ValueError(f"a token is beyond the vocabulary of {self.start.vocabulary_size}")

    @property
    def length(self) -> int:
        return self.start.sampling.length

    def entropies(self) -> np.ndarray:
        """Nats before each frame, [frames, length]; 0 where a token was fixed."""
        return self._stacked([frame.entropy for frame in self.frames]) * np.log(self.start.vocabulary_size)

    def best(self) -> np.ndarray:
        """Probability of the most probable token before each frame, [frames, length]; 1 where a token was fixed."""
        return self._stacked([frame.best for frame in self.frames])

    def tokens_at(self, cursor: int) -> dict[int, int]:
        """What stands after `cursor` frames, by position."""
        placed = {each.position: each.token for each in self.start.standing}
        for frame in self.frames[:cursor]:
            placed |= zip(frame.positions, frame.tokens, strict=True)
        return placed

    def step_at(self, cursor: int) -> int:
        """The response's own step that follows after `cursor` frames."""
        if cursor < len(self.frames):
            return self.frames[cursor].step
        return self.frames[-1].step + 1 if self.frames else self.start.first_step

    def vocabulary(self) -> Mapping[int, Token]:
        """Every token that is referred to, by id."""
        parts: Iterable[Sequence[Token]] = (self.start.new_tokens, *(frame.new_tokens for frame in self.frames))
        return {token.id: token for part in parts for token in part}

    def _stacked(self, rows: Sequence[str]) -> np.ndarray:
        return np.stack([unpack(row) for row in rows]) / 255 if rows else np.zeros((0, self.length))


def save_trace(trace: Trace, path: Path) -> None:
    """Write a trace as gzipped JSON; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mtime 0: equal traces are equal files. It can be computed again, so the disk need not hold it at once.
    write_whole(path, gzip.compress(trace.model_dump_json().encode(), mtime=0), durable=False)


def load_trace(path: Path) -> Trace:
    """Read what `save_trace` wrote, gzipped or not; raises `SpecError` that says what is wrong."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from error
    if len(content) > _LARGEST_FILE:
        raise _unreadable(path, f"it holds more than {_LARGEST_FILE:,} bytes")
    try:
        return Trace.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _unreadable(path, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _unreadable(path: Path, reason: str) -> SpecError:
    return SpecError(
        f"{path.name} is no trace of version 2: {reason.rstrip('.')}.",
        field="trace",
        remedy="Choose a file that `gift denoise --save` or the studio wrote.",
    )
