"""What a task is: problems with reference answers, and a verdict on any other answer, from the texts alone."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gift_core.data.reasoning import protocol_form
from gift_core.data_spec import Difficulty
from gift_core.errors import SpecError
from gift_core.tasks.answers import tagged
from gift_core.tasks.notation import visible

# An answer is a line or a small grid; a model that rambles on must not make its scorer slow.
_LONGEST_ANSWER = 400
# So many proposals in a row without a new problem: there are hardly any left.
_PATIENCE = 20_000


@dataclass(frozen=True)
class Problem:
    """A prompt and a reference response to it, which first reasons and then answers.

    Prompts that ask the same in another order share an `identity`; left out, it is the prompt.
    """

    prompt: str
    reasoning: str
    answer: str
    title: str = ""
    identity: str = ""

    @property
    def response(self) -> str:
        return protocol_form(self.reasoning, self.answer)


@dataclass(frozen=True)
class Verdict:
    """`solved` is what is counted; `text` says it to a person, and how close it came."""

    solved: bool
    text: str


class Task(Protocol):
    """Pure functions of text: nothing that a model writes is ever executed."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def levels(self) -> Mapping[Difficulty, str]:
        """What each difficulty means here, in a few words."""

    def generate(
        self, count: int, difficulty: Difficulty, seed: int, held_out: int
    ) -> tuple[list[Problem], list[Problem]]:
        """`count` problems to learn from and `held_out` others, all distinct.

        Asking for more of either only appends to it. Raises `SpecError` when there are not that many.
        """

    def judge(self, prompt: str, response: str) -> Verdict | None:
        """A verdict on a response to `prompt`; None when the prompt holds no problem of this task."""


def answer_in(response: str) -> str:
    """The text between the last answer tags; the whole response where it has none. Cut where it becomes too long."""
    found = tagged(response)
    return (visible(response) if found is None else found)[:_LONGEST_ANSWER].strip()


def draw_problems(
    make: Callable[[random.Random], Problem], name: str, count: int, seed: int, held_out: int
) -> tuple[list[Problem], list[Problem]]:
    """Distinct problems to learn from and held-out ones, as `make` invents them.

    Which side a problem is on follows from its identity alone, so that no seed, and no other run, ever learns from what
    this one is judged by. Raises `SpecError` when `make` has no more.
    """
    return _draw(make, name, count, seed, held_out=False), _draw(make, name, held_out, seed, held_out=True)


def _draw(
    make: Callable[[random.Random], Problem], name: str, count: int, seed: int, *, held_out: bool
) -> list[Problem]:
    rng = random.Random(f"{name} {seed} {held_out}")
    found: dict[str, Problem] = {}
    idle = 0
    while len(found) < count:
        problem = make(rng)
        if problem.prompt in found or is_held_out(problem) != held_out:
            idle += 1
            if idle == _PATIENCE:
                raise _too_few(len(found), count, held_out)
            continue
        found[problem.prompt] = problem
        idle = 0
    return list(found.values())


def is_held_out(problem: Problem) -> bool:
    """Whether a problem belongs to the fifth that nothing is trained on."""
    return hashlib.sha256((problem.identity or problem.prompt).encode()).digest()[0] < 51


def _too_few(found: int, wanted: int, held_out: bool) -> SpecError:
    return SpecError(
        f"{wanted:,} {'held-out' if held_out else 'training'} problems were asked for, but there are hardly more than "
        f"{found:,} of this difficulty.",
        field="data.held_out" if held_out else "data.source.examples",
        remedy="Ask for fewer, or for another difficulty.",
    )
