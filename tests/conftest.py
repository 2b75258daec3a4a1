"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("studio", deadline=None)
settings.load_profile("studio")
