"""Logs: one line each, as text or as JSON, with the request, the job and the account they belong to, and no secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from textwrap import indent
from typing import Literal, TextIO

from gift_core.escaping import escaped, escaped_json, escaped_line
from workers.health.repeats import Repeats

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

# What the current task or thread works for: request_id, job_id, account. The dictionary is shared with the threads that
# a request calls, so what is noted there is known when the request is logged at its end.
_facts: ContextVar[dict[str, str] | None] = ContextVar("facts", default=None)
_FACTS = ("request_id", "job_id", "account")
# Of a record, besides those: what the access log says.
_FIELDS = ("method", "route", "path", "status", "duration_ms")
_OWN_LOGGERS = ("workers", "api", "gift_core", "ui", "app")
_HIDDEN = "[hidden]"
# Nothing is to log a secret in the first place; this is for what slips through, such as what a library quotes.
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"\bhf_(?:oauth_)?[A-Za-z0-9._-]{6,}"), _HIDDEN),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]*:[^\s/@'\"]*@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"([?&]key=)[^\s&]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(https://hooks\.slack\.com/)[\w/-]+"), rf"\1{_HIDDEN}"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:[\w-]*token|[\w-]*secret|password|passwd|authorization|api[_-]?key|x-api-key)\b[\"']?"
            r"\s*[:=]\s*[\"']?)(?!\[hidden\]|bearer |basic )[^\s\"'&,;]{4,}"
        ),
        rf"\1{_HIDDEN}",
    ),
)


@contextmanager
def bound(**facts: str) -> Iterator[dict[str, str]]:
    """What is logged in this block, by its task or thread and those that it calls, carries `facts` as well."""
    mine = (_facts.get() or {}) | facts
    token = _facts.set(mine)
    try:
        yield mine
    finally:
        _facts.reset(token)


def note(**facts: str) -> None:
    """Say more about the block that this is called in, such as the account of a request. Nothing outside of one."""
    current = _facts.get()
    if current is not None:
        current.update(facts)


def redacted(text: str) -> str:
    """`text` without what looks like a secret: tokens of the Hub, bearer tokens, passwords in URLs and in settings."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class NoSecrets(logging.Filter):
    """Takes secrets out of a record before it is written; the last line of defence."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redacted(record.exc_text)
        return True


class Context(logging.Filter):
    """Gives a record the facts of the block it was made in."""

    def filter(self, record: logging.LogRecord) -> bool:
        facts = _facts.get() or {}
        for name in _FACTS:
            if not hasattr(record, name):
                setattr(record, name, facts.get(name, ""))
        return True


class TextFormatter(logging.Formatter):
    """For people: `12:30:01 WARNING workers.reaper: … [job_id=run_1]`. Nothing that is logged can begin a line, or be
    obeyed by the terminal that shows it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(facts)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        facts = [f"{name}={found}" for name in _FACTS if (found := getattr(record, name, ""))]
        record.facts = f" [{' '.join(facts)}]" if facts else ""
        record.asctime, record.message = self.formatTime(record, self.datefmt), record.getMessage()
        line = escaped_line(self.formatMessage(record))
        # Set in: only a line of the log begins where lines begin, whatever an exception quotes.
        return f"{line}\n{indent(escaped(record.exc_text), '    ')}" if record.exc_text else line


class JsonFormatter(logging.Formatter):
    """For programs: an object on a line, with `time` (UTC), `level`, `logger`, `message` and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: found for name in (*_FACTS, *_FIELDS) if (found := getattr(record, name, "")) != ""}
        if record.exc_text:
            line["exception"] = record.exc_text
        return escaped_json(json.dumps(line, ensure_ascii=False))


def set_up_logs(form: LogFormat | None = None, level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Log to `stream`, the standard error if left out; as text on a terminal and as JSON elsewhere unless `form` says.

    `level` is that of the studio's own messages; of the libraries, warnings and errors are logged.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    as_text = form == "text" if form else target.isatty()
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    handler.addFilter(Context())
    # Of every logger, those of asyncio and uvicorn too. Before secrets are looked for, which takes longer.
    handler.addFilter(Repeats())
    handler.addFilter(NoSecrets())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(level.upper())
