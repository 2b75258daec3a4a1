"""The log: what a line says, whom it belongs to, and that no secret is in it."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.logs import bound, note, redacted, set_up_logs

logger = logging.getLogger("workers.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    own = {name: logging.getLogger(name).level for name in ("workers", "api", "gift_core", "ui", "app")}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in own.items():
        logging.getLogger(name).setLevel(before)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_json_says_what_and_for_whom(stream: io.StringIO) -> None:
    set_up_logs(None, "info", stream)  # What is no terminal gets JSON.
    with bound(request_id="r1"), bound(job_id="run_1"):
        logger.info("took %d s", 3)
    logger.debug("too much")
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "workers.test",
        "message": "took 3 s",
        "request_id": "r1",
        "job_id": "run_1",
    }


def test_what_a_thread_of_a_request_finds_out_is_known_at_its_end(stream: io.StringIO) -> None:
    set_up_logs("json", "info", stream)
    with bound(request_id="r1"):
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: note(account="ada"),))
        thread.start()
        thread.join()
        logger.info("done")
    note(account="nobody")
    logger.info("after")
    first, second = lines(stream)
    assert (first["request_id"], first["account"]) == ("r1", "ada")
    assert "account" not in second


def test_libraries_are_heard_only_when_something_is_wrong(stream: io.StringIO) -> None:
    set_up_logs("text", "info", stream)
    logging.getLogger("httpx").info("GET http://…")
    logging.getLogger("huey").warning("away")
    assert [line.partition(" ")[2] for line in stream.getvalue().splitlines()] == ["WARNING huey: away"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_written_not_even_in_a_traceback(stream: io.StringIO, form: Any) -> None:
    set_up_logs(form, "info", stream)
    secrets = ["hf_abcDEF1234567890", "s3cr3t-pass", "eyJhbGciOi.payload", "T0/B0/xyzzy"]
    try:
        raise ValueError(f"Authorization: Bearer {secrets[2]}")
    except ValueError:
        logger.exception(
            "no %s at redis://user:%s@host:1/0, https://hooks.slack.com/services/%s", *secrets[:2], secrets[3]
        )
    written = stream.getvalue()
    assert "ValueError" in written
    assert "@host:1/0" in written
    assert not [secret for secret in secrets if secret in written]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("tokens_per_second: 1234.5, loss: 0.25", "tokens_per_second: 1234.5, loss: 0.25"),
        ("the token <mask> at 12:30:01 in run_ab12", "the token <mask> at 12:30:01 in run_ab12"),
        ('{"password": "hunter2xyz"}', '{"password": "[hidden]"}'),
        ("GET /x?access_token=abcd1234&a=1", "GET /x?access_token=[hidden]&a=1"),
    ],
)
def test_only_secrets_are_taken_out(said: str, left: str) -> None:
    assert redacted(said) == left


@given(st.from_regex(r"hf_[A-Za-z0-9]{20,40}", fullmatch=True), st.text(max_size=30), st.text(max_size=30))
def test_a_hub_token_is_found_in_any_text(token: str, before: str, after: str) -> None:
    assert token not in redacted(f"{before} {token} {after}")
    assert redacted(redacted(f"{before} {token}")) == redacted(f"{before} {token}")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_logged_begins_no_line_and_is_obeyed_by_no_terminal(stream: io.StringIO, form: Any) -> None:
    set_up_logs(form, "info", stream)
    forged = "a name\r\n12:30:01 WARNING workers: forged\x1b[2J\x9b31m\u2028\u202e"
    with bound(job_id=forged):
        logger.info("took %s", forged)
        try:
            raise ValueError(forged)
        except ValueError:
            logger.exception("%s failed", forged)
    written = stream.getvalue()
    assert not {"\x1b", "\x9b", "\r", "\u2028", "\u202e"} & set(written)
    assert not [line for line in written.splitlines() if line.startswith("12:30:01 WARNING")]
    if form == "json":
        assert [json.loads(line)["job_id"] for line in written.splitlines()] == [forged, forged]
    else:
        assert [line for line in written.splitlines() if not line.startswith("    ")] == [
            line for line in written.splitlines() if "workers.test: " in line
        ]
