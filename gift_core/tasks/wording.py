"""The many ways to say one thing: reasoning whose planning words are as free as a person's."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Two tokens each: the statements then stand where they stand whatever they are led in by, which a small model that
# learns to copy and to count from nothing needs.
_BEGIN = ("First,", "To begin", "We know", "We see", "Initially,", "At first")
_CONTINUE = ("Then,", "We get", "After that", "Next,", "So now", "And then", "Now,")
_CONCLUDE = ("So,", "Therefore,", "Thus,", "Hence,", "Finally,", "That means")


def chain(rng: random.Random, steps: Sequence[str]) -> str:
    """Statements as sentences, each led in by a word that says where in the argument it stands."""
    leads = [rng.choice(_BEGIN)]
    leads += [rng.choice(_CONTINUE) for _ in steps[1:-1]]
    if len(steps) > 1:
        leads.append(rng.choice(_CONCLUDE))
    return " ".join(f"{lead} {step}." for lead, step in zip(leads, steps, strict=True))
