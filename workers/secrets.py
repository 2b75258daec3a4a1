"""Secrets that jobs need. They are in memory only: neither the store nor a file nor a log ever has one."""

from __future__ import annotations

import threading

from pydantic import SecretStr


class Secrets:
    """Tokens of the Hub by job, each handed out once, and the studio's own for jobs that came without.

    What is not handed out before the studio ends is lost; the job then fails and says so.
    """

    def __init__(self, own: SecretStr | None) -> None:
        self._own = own
        self._tokens: dict[str, SecretStr] = {}
        self._lock = threading.Lock()

    def keep(self, job_id: str, token: SecretStr) -> None:
        with self._lock:
            self._tokens[job_id] = token

    def has(self, job_id: str) -> bool:
        """Whether a job that starts now gets a token of its own."""
        with self._lock:
            return job_id in self._tokens

    def drop(self, job_id: str) -> None:
        with self._lock:
            self._tokens.pop(job_id, None)

    def hand_out(self, job_id: str, *, own: bool) -> str:
        """The token of a job that starts, "" where there is none: its `own`, or the studio's if it came without."""
        with self._lock:
            token = self._tokens.pop(job_id, None) if own else self._own
        return token.get_secret_value() if token else ""
