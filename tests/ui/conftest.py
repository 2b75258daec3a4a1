"""The backend that the front end speaks to, as in the tests of the API, and a browser for its components."""

from __future__ import annotations

import os

from tests.api.conftest import client, create, studio, trainer, url
from tests.ui.mounting import browser, mount, site

__all__ = ["browser", "client", "create", "mount", "site", "studio", "trainer", "url"]

# Gradio reads it when it is imported, which the test modules do after this. Nothing that other tests read is set here:
# whichever folders are chosen, all of them are collected into one process.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
