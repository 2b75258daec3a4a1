"""Column names that well-known data sets use, and what those data sets are called."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gift_core.data_spec import LayoutName

# In order of preference, and before any pair of columns.
CONVERSATIONS: dict[str, LayoutName] = {"messages": "messages", "conversations": "sharegpt"}
ALPACA = ("instruction", "output")
# A prompt and a response column in order of preference. A file may have several: new pairs go to the end.
PAIRS = (
    ALPACA,
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("problem", "solution"),
    ("input", "output"),
)
LATER_PAIRS = (
    ("question", "deepseek_attempt"),
    ("question", "attempt"),
    ("instruction", "response"),
    ("query", "response"),
    ("question", "response"),
    ("question", "gemini_attempt"),
    ("problem", "generated_solution"),
    ("question", "solution"),
)
# The response of a preference pair, if the other one is there too.
CHOSEN, REJECTED = "chosen", "rejected"
PREFERENCES = (("prompt", CHOSEN), ("question", CHOSEN), ("instruction", CHOSEN), ("input", CHOSEN))
# Without a prompt of its own, the conversation beside a preference pair is the prompt of both.
ASKING_CONVERSATIONS = tuple((column, CHOSEN) for column in CONVERSATIONS)
SYSTEM = ("system", "system_prompt")
# A prompt called instruction takes in either, any other prompt the second.
CONTEXT = ("input", "context")
HISTORY = ("history",)
REASONING = (
    "thinking_trajectories",
    "deepseek_thinking_trajectory",
    "gemini_thinking_trajectory",
    "reasoning_content",
    "reasoning",
    "thinking",
)
# Columns of texts in which nothing separates a prompt from a response.
WHOLE_TEXTS = ("text", "content")


class KnownFormat(NamedTuple):
    """A data set whose layout people know by name; `beside` are columns that set it apart."""

    title: str
    prompt: str
    responses: tuple[str, ...]
    beside: frozenset[str] = frozenset()
    # Other columns than these make it something else; empty if any may stand beside.
    only: frozenset[str] = frozenset()


def _conversation(title: str, column: str, *beside: str) -> KnownFormat:
    return KnownFormat(title, column, (column,), frozenset(beside))


_FORMATS = (
    KnownFormat(
        "s1K-1.1",
        "question",
        ("deepseek_attempt", "gemini_attempt", "solution"),
        frozenset({"deepseek_thinking_trajectory"}),
    ),
    KnownFormat("s1K", "question", ("attempt", "solution"), frozenset({"thinking_trajectories"})),
    _conversation("OpenR1-Math", "messages", "problem", "generations"),
    _conversation("Mixture-of-Thoughts", "messages", "num_tokens", "source"),
    _conversation("NuminaMath", "messages", "problem", "solution"),
    _conversation("preference pairs (DPO)", "messages", CHOSEN, REJECTED),
    _conversation("UltraChat", "messages", "prompt", "prompt_id"),
    _conversation("OpenHermes", "conversations", "custom_instruction"),
    _conversation("OpenHermes", "conversations", "skip_prompt_formatting"),
    _conversation("ShareGPT", "conversations"),
    _conversation("preference pairs (DPO)", CHOSEN, REJECTED),
    *(
        KnownFormat("preference pairs (DPO)", prompt, (CHOSEN,), frozenset({REJECTED}))
        for prompt, _ in (*PREFERENCES, *ASKING_CONVERSATIONS)
    ),
    KnownFormat("Dolly", "instruction", ("response",), frozenset({"context"})),
    KnownFormat("Alpaca", ALPACA[0], ALPACA[1:]),
    KnownFormat("OpenOrca", "question", ("response",), frozenset({"system_prompt"})),
    KnownFormat("MetaMath", "query", ("response",)),
    KnownFormat("MATH", "problem", ("solution",), frozenset({"level"})),
    KnownFormat("OpenMathInstruct", "problem", ("generated_solution",)),
    KnownFormat("question and answer, as GSM8K", "question", ("answer",), only=frozenset({"question", "answer"})),
    KnownFormat("prompt and completion, as TRL", "prompt", ("completion",)),
)


def recognised(prompt: str, response: str, columns: Collection[str]) -> str | None:
    """Return the title of the data set whose prompt and response columns are read, or None if it is not known."""
    return next(
        (
            known.title
            for known in _FORMATS
            if known.prompt == prompt
            and response in known.responses
            and known.beside <= set(columns)
            and (not known.only or set(columns) <= known.only)
        ),
        None,
    )
