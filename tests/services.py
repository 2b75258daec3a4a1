"""Real servers for tests: Redis, PostgreSQL and an S3-compatible store, that can be killed and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import redis

_START_SECONDS = 120
# Whoever reads a log or an error must not find it there.
PASSWORD = "planted-4f1c"
_HOST = "127.0.0.1"


class Service(ABC):
    """A server with a folder of its own in /tmp. Starts when it is made."""

    url: str
    _needs_account = False

    def __init__(self) -> None:
        # Not in pytest's folders: another account could not enter those.
        self.directory = Path(tempfile.mkdtemp(prefix="gift-service-"))
        self._account = _unprivileged() if self._needs_account and os.geteuid() == 0 else {}
        if self._account:
            shutil.chown(self.directory, **self._account)
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: socket.socket | None = None
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, with what it held when it was killed, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.directory, env=self._environment(), stdout=log, stderr=log, **self._account
            )
        wait_until(self._answers, self._say_why)

    def kill(self) -> None:
        """SIGKILL, to all of its processes."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        # It begins no other one meanwhile, which would keep PostgreSQL from starting again.
        parent.suspend()
        children = parent.children(recursive=True)
        self._process.kill()
        for child in children:
            # Some notice that it is gone, and go themselves.
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()
        wait_until(lambda: all(map(_gone, children)), lambda: f"still there: {children}")
        self._process = None

    def ensure(self) -> None:
        """Start it again where a test has left it dead."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        if self._kept is not None:
            self._kept.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _keep_port(self) -> int:
        """Nobody else is given it, also while the server is away."""
        self._kept = bound(0)
        return int(self._kept.getsockname()[1])

    def _run(self, *command: str) -> None:
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True, **self._account)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    @abstractmethod
    def _prepare(self) -> None:
        """What has to be done once: it sets `url`."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _say_why(self) -> str:
        assert self._process is not None
        log = (self.directory / "log").read_text(errors="replace")
        return f"{type(self).__name__} does not answer (exit status {self._process.poll()}):\n{log[-2000:]}"


class RedisService(Service):
    """Writes everything to its append-only file, so it loses nothing when it is killed."""

    def _prepare(self) -> None:
        self._port = self._keep_port()
        self.url = f"redis://:{PASSWORD}@{_HOST}:{self._port}/0"

    def _command(self) -> list[str]:
        # Every write is in the file before it is answered; while the disk is busy with an fsync, one would be put off.
        log = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        options = ["--bind", _HOST, "--port", str(self._port), *log]
        return ["redis-server", *options, "--requirepass", PASSWORD]

    def _answers(self) -> bool:
        with closing(redis.Redis.from_url(self.url)) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


class PostgresService(Service):
    """On a socket in its folder. Without fsync it may lose something when the machine is killed, but not when it is."""

    _needs_account = True

    def _prepare(self) -> None:
        self.url = self.database_url("postgres")
        (self.directory / "password").write_text(PASSWORD)
        options = ("--username=studio", "--auth=scram-sha-256", "--pwfile=password", "--no-sync", "--no-locale")
        self._run(_postgres("initdb"), "--pgdata=data", "--encoding=UTF8", "--no-instructions", *options)

    def database_url(self, name: str) -> str:
        return f"postgresql://studio:{PASSWORD}@/{name}?host={quote(str(self.directory), safe='')}"

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of a database that is there until the block ends."""
        name = f"t{time.monotonic_ns()}"
        self._administer(f"CREATE DATABASE {name}")
        try:
            yield self.database_url(name)
        finally:
            self.ensure()
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "full_page_writes": "off",
            # It commits when it likes, and every database here would tell of that.
            "autovacuum": "off",
            "shared_buffers": "32MB",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return [_postgres("postgres"), "-D", "data", *options]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


class S3Service(Service):
    """Keeps a record of all requests, and does them again when it is started again."""

    bucket = "studio"
    _has_bucket = False

    def _prepare(self) -> None:
        self._port = self._keep_port()
        self.endpoint = f"http://{_HOST}:{self._port}"
        self.url = f"s3://{self.bucket}/artefacts?endpoint_url={self.endpoint}&key=studio&secret={PASSWORD}"

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(self._port)]

    def _environment(self) -> dict[str, str]:
        recording = str(self.directory / "requests")
        return super()._environment() | {"MOTO_ENABLE_RECORDING": "1", "MOTO_RECORDER_FILEPATH": recording}

    def start(self) -> None:
        super().start()
        if self._has_bucket:
            self._request("POST", "moto-api/recorder/replay-recording")
        else:
            self._request("PUT", self.bucket)
            self._has_bucket = True

    def _answers(self) -> bool:
        try:
            self._request("GET", "moto-api/data.json")
        except OSError:
            return False
        return True

    def _request(self, method: str, path: str) -> None:
        authorization = "AWS4-HMAC-SHA256 Credential=studio/20260101/us-east-1/s3/aws4_request"
        headers = {"Authorization": authorization}
        request = urllib.request.Request(f"{self.endpoint}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=_START_SECONDS):
            pass


def bound(port: int) -> socket.socket:
    """Keeps a port: nobody else is given it, and whoever is to have it may listen there."""
    # The protocol is named: asyncio turns Nagle's delay off only where it is.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound


def wait_until(condition: Callable[[], bool], why: Callable[[], str]) -> None:
    """Fails with what `why` says when `condition` does not come true within two minutes."""
    deadline = time.monotonic() + _START_SECONDS
    never = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, why()
        never.wait(0.02)


def _gone(process: psutil.Process) -> bool:
    """Whoever should have collected what is left of an orphan may be slow, or may not care."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _postgres(program: str) -> str:
    """Debian keeps the server's programs out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(found[-1]) if found else program


def _unprivileged() -> dict[str, Any]:
    """The account for a server that refuses to run as root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid}
