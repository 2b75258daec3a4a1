"""What a stream can be about: `experiment:ID`, `job:ID`, `trace:ID`, `queue`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Query
from pydantic import BaseModel, Field

MOST_TOPICS = 100
_TOPIC = r"^(queue|(experiment|job|trace):[A-Za-z0-9_.-]{1,100})$"

TopicName = Annotated[str, Field(pattern=_TOPIC)]
TopicNames = Annotated[
    list[TopicName],
    Query(
        min_length=1,
        max_length=MOST_TOPICS,
        description="What to watch: `experiment:ID` (its runs and their metrics), `job:ID` (a job of any kind and its "
        "metrics), `queue` (every job, and what waits), `trace:ID` (a trace, part by part).",
        examples=[["experiment:exp_recorded", "queue"]],
    ),
]


@dataclass(frozen=True)
class Topics:
    """Topics by kind. Those of the store are in the first three; a trace tells its news itself."""

    experiments: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    queue: bool = False
    traces: tuple[str, ...] = ()

    @classmethod
    def parse(cls, names: Sequence[str]) -> Self:
        """Of names that match the pattern of `TopicNames`."""
        found: dict[str, list[str]] = {"experiment": [], "job": [], "trace": [], "queue": []}
        for name in names:
            kind, _, identity = name.partition(":")
            found[kind].append(identity)
        return cls(
            frozenset(found["experiment"]),
            frozenset(found["job"]),
            bool(found["queue"]),
            tuple(dict.fromkeys(found["trace"])),
        )

    @property
    def names(self) -> list[str]:
        """The names of those of the store."""
        kinds = {"experiment": self.experiments, "job": self.jobs}
        named = [f"{kind}:{identity}" for kind, ids in kinds.items() for identity in sorted(ids)]
        return [*named, *(["queue"] if self.queue else [])]

    @property
    def without_queue(self) -> Topics:
        return Topics(self.experiments, self.jobs)

    @property
    def of_store(self) -> Topics:
        """Without the traces."""
        return Topics(self.experiments, self.jobs, self.queue)

    def __bool__(self) -> bool:
        return self != Topics()


NOTHING = Topics()


class NamedTopics(BaseModel):
    """Topics of a stream by their names."""

    topics: list[str]
