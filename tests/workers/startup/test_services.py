"""A mistake in the URL of a server is said before a studio starts, by its setting and without a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gift_core.errors import GiftError
from tests.services import PASSWORD, PostgresService, RedisService
from workers.settings import Settings, SettingsError, read_settings
from workers.startup.services import check_services

WRONG = "wr0ngw0rd"


def said_of(**urls: str) -> str:
    try:
        check_services(Settings(**urls))
    except GiftError as error:
        said = str(error)
        assert WRONG not in said.replace(f"postgresql:///{WRONG}", "")
        assert PASSWORD not in said
        return said
    return ""


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


@pytest.mark.parametrize("setting", ["store_url", "queue_url"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: url.replace(PASSWORD, WRONG), "does not accept this user and password"),
        (lambda url: urlsplit(url)._replace(path=f"/{WRONG}").geturl(), "has no database of this name"),
        (lambda url: with_option(url, f"{WRONG}=1"), "cannot be used with the options of the URL"),
        (lambda url: with_option(url, f"sslmode={WRONG}"), "cannot be used with the options of the URL"),
    ],
)
def test_postgres(postgres_server: PostgresService, setting: str, change: Any, why: str) -> None:
    assert said_of(**{setting: postgres_server.url}) == ""
    said = said_of(**{setting: change(postgres_server.url)})
    assert said.startswith(f"GIFT_{setting.upper()}: The {setting.partition('_')[0]} at postgresql://")
    assert why in said.replace(WRONG, "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda url: url.replace(PASSWORD, WRONG), "does not accept this user and password"),
        (lambda url: url.rpartition("/")[0] + "/999", "has no database of this name"),
        (lambda url: url.rpartition("/")[0] + f"/{WRONG}", "names no database: Redis numbers them"),
        (lambda url: with_option(url, f"{WRONG}=1"), "cannot be used with the options of the URL"),
    ],
)
def test_redis(redis_server: RedisService, change: Any, why: str) -> None:
    assert said_of(queue_url=redis_server.url) == ""
    assert why in said_of(queue_url=change(redis_server.url))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"postgresql://me:{WRONG}@127.0.0.1:1/db", "nothing listens at this address"),
        (f"postgresql://me:{WRONG}@nowhere.invalid/db", "its host is not known"),
    ],
)
def test_a_store_that_is_away(url: str, why: str) -> None:
    said = said_of(store_url=url)
    assert said.startswith("GIFT_STORE_URL: The store at postgresql://")
    assert why in said


def test_a_redis_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    assert said_of(queue_url=f"redis://:{WRONG}@127.0.0.1:1/0") == ""
    assert "GIFT_QUEUE_URL: The queue at redis://127.0.0.1:1/0 does not answer: nothing listens" in caplog.text
    assert WRONG not in caplog.text


def test_a_folder_for_files_has_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert said_of(artefacts_url=f"file://{tmp_path}/shared") == ""
    assert said_of(artefacts_url=f"file://{tmp_path}/file").startswith("GIFT_ARTEFACTS_URL: ")


@pytest.mark.parametrize("ending", [f"?mode={WRONG}", f"?{WRONG}", f"#{WRONG}"])
def test_a_file_has_no_options(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setenv("GIFT_STORE_URL", f"sqlite:////srv/studio.sqlite3{ending}")
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert str(refused.value) == "GIFT_STORE_URL: A sqlite:// URL has no options. End it with the file's name."
