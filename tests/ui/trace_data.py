"""Traces for the component tests: real documents of version 2, with numbers that are easy to predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gift_core.documents import Token, pack
from gift_core.spec import SamplingSpec
from gift_core.trace import Branch, Frame, Standing, Trace, TraceEnd, TraceStart
from tests.ui.component_data import PUZZLE, SOLUTION, VOCABULARY, tokens_of
from tests.ui.component_site import Site

LENGTH = 24
IN_ORDER = list(range(LENGTH))
MASK = Token(id=1, text="<|mask|>", special=True, glyph=0)
RIVALS = [Token(id=40 + i, text=text, glyph=0) for i, text in enumerate("789")]


def trace(
    label: str,
    order: Sequence[int | Sequence[int]],
    *,
    swap_at: int | None = None,
    text: str = "9",
    verdict: str = "solved",
    entropy: np.ndarray | None = None,
    standing: Sequence[Standing] = (),
    branch: Branch | None = None,
    seed: int = 1,
) -> Trace:
    """A denoising run that commits the positions of `order`, one item a step; `swap_at` holds `text` and not a digit.

    Positions that neither `order` nor `standing` names are left masked, as after an early stop. `entropy` is a share of
    ln(vocabulary), [steps, length].
    """
    response = tokens_of(SOLUTION, tail=4)
    if swap_at is not None:
        response[swap_at] = response[swap_at].model_copy(update={"id": 55, "text": text})
    groups = [[each] if isinstance(each, int) else list(each) for each in order]
    if entropy is None:
        left = 1 - np.arange(len(groups))[:, None] / len(groups)
        entropy = left * np.random.default_rng(3).uniform(0.2, 0.9, LENGTH)[None, :]
    filled = {each.position for each in standing}.union(*groups)
    frames = [
        _frame(number, group, response, row) for number, (group, row) in enumerate(zip(groups, entropy, strict=True))
    ]
    return Trace(
        start=TraceStart(
            version=2,
            checkpoint=label.lower(),
            label=label,
            prompt_text=PUZZLE,
            prompt=tokens_of(PUZZLE),
            vocabulary_size=VOCABULARY,
            mask=MASK,
            sampling=SamplingSpec(length=LENGTH, block_length=8, steps=LENGTH),
            seed=seed,
            first_step=branch.cursor if branch else 0,
            standing=list(standing),
            branch=branch,
            played=branch.cursor if branch else 0,
            new_tokens=[response[each.position].model_copy(update={"id": each.token}) for each in standing],
        ),
        frames=frames,
        end=TraceEnd(
            response=[token if i in filled else MASK for i, token in enumerate(response)],
            text="".join(token.text for token in response if not token.special),
            outcome="finished" if len(filled) == LENGTH else "stopped early",
            seconds=0.42,
            verdict=verdict,
        ),
    )


def _frame(number: int, group: list[int], response: list[Token], entropy: np.ndarray) -> Frame:
    return Frame(
        step=number,
        positions=group,
        tokens=[response[position].id for position in group],
        confidence=[0.9 - 0.01 * number] * len(group),
        top=[[response[position].id, *(token.id for token in RIVALS)] for position in group],
        top_probability=[[0.6, 0.2, 0.1, 0.05]] * len(group),
        entropy=pack(entropy),
        best=pack(1 - entropy),
        new_tokens=[*(response[position] for position in group), *RIVALS],
    )


def entry(document: Trace, identity: str | None = None) -> dict[str, Any]:
    """What the player gets for a trace that needs no backend."""
    return {
        "id": identity or document.start.label,
        "label": document.start.label,
        "document": document.model_dump(mode="json"),
    }


def awaited(identity: str, state: str = "queued", label: str = "GIFT") -> dict[str, Any]:
    """What the player gets for a trace that it is to watch."""
    return {"id": identity, "label": label, "state": state}


class Stream:
    """Publishes the parts of a trace, one by one, as the API does for one trace."""

    def __init__(self, site: Site, identity: str, document: Trace) -> None:
        self._site = site
        self._identity = identity
        self._parts: Iterator[Any] = iter([document.start, *document.frames, document.end])
        self._count = 0

    def publish(self, count: int) -> None:
        for _ in range(count):
            self._send("part", "running", part=next(self._parts).model_dump(mode="json"))

    def end(self, state: str = "finished", problems: Sequence[dict[str, str]] = ()) -> None:
        self._send("ended", state, part=None, problems=list(problems))

    def finish(self) -> None:
        self.publish(sum(1 for _ in self._remaining()))
        self.end()

    def _remaining(self) -> list[Any]:
        left = list(self._parts)
        self._parts = iter(left)
        return left

    def _send(self, event: str, state: str, **data: Any) -> None:
        self._count += 1
        self._site.publish(
            event, {"trace": self._identity, "state": state, "problems": [], **data}, f"0.0~{self._count}"
        )
