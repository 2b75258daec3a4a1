"""For all tests."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from tests.services import PostgresService, RedisService, S3Service

# Before anything imports torch, and for all that tests start: on few cores, threads of several processes spin against
# each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is compared with exact numbers is computed on the CPU, also where there is a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# What a shell runs in the background ignores Ctrl-C, as does all that it starts; here it is pressed in tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("studio", deadline=None)
settings.load_profile("studio")
# So does how long a server of a test takes to answer: httpx itself gives it five seconds.
_patience = httpx.Timeout(60)
for _part in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _part, getattr(_patience, _part))


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_stays() -> None:
    """Each training ends with a full collection of garbage, which need not go through all that was imported before."""
    gc.collect()
    gc.freeze()


# Each server is started for the first test that asks for it, once in each process, and runs again for the next one
# where a test has killed it.


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisService]:
    with closing(RedisService()) as service:
        yield service


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresService]:
    with closing(PostgresService()) as service:
        yield service


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3Service]:
    with closing(S3Service()) as service:
        yield service


@pytest.fixture
def redis_server(_redis: RedisService) -> RedisService:
    _redis.ensure()
    return _redis


@pytest.fixture
def postgres_server(_postgres: PostgresService) -> PostgresService:
    _postgres.ensure()
    return _postgres


@pytest.fixture
def s3_server(_s3: S3Service) -> S3Service:
    _s3.ensure()
    return _s3


@pytest.fixture
def postgres_url(postgres_server: PostgresService) -> Iterator[str]:
    """An empty database."""
    with postgres_server.new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studio.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url
