"""The backend that the front end speaks to, as in the tests of the API, and a browser for its components."""

from __future__ import annotations

from tests.api.conftest import client, create, studio, trainer, url
from tests.ui.mounting import browser, mount, site
from workers.settings import prepare_environment

__all__ = ["browser", "client", "create", "mount", "site", "studio", "trainer", "url"]

# Gradio reads the environment when it is imported, which the test modules do after this.
prepare_environment()
