"""Where the process that checks does not start, requests that need it say so, and the others are answered."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from api.app import create_api
from tests.serving import serve
from workers.checking.checker import Beside
from workers.settings import Settings
from workers.studio import Studio


def test_a_launch_that_cannot_be_checked_is_asked_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, embedded_worker=False)
    studio = Studio(settings, Beside.of(settings))
    # Which of all programs ends at once.
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with serve(create_api(studio)) as url:
        for path in ("/experiments", "/preflights"):
            answer = httpx.post(f"{url}/api/v1{path}", json={}, headers={"Idempotency-Key": path}, timeout=120)
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "checking_unavailable"
            assert answer.headers["retry-after"] == "10"
            assert "see the server's log" in answer.json()["problems"][0]["remedy"]
        assert httpx.get(f"{url}/api/v1/models", timeout=120).is_success
    assert studio.store.experiments() == []
    studio.close()
