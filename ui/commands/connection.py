"""How a command reaches the studio, and what becomes of a refusal, a lost connection and Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from gift_core.config.addresses import AddressError, HttpAddress
from gift_core.config.headers import is_token
from gift_core.errors import GiftError, Problem, SpecError, StoppedError

if TYPE_CHECKING:
    from ui.commands.client import CommandClient
    from ui.connection import StudioError

T = TypeVar("T")
DEFAULT_SERVER = "http://127.0.0.1:7860"
# Between attempts at a request that was sent and not answered.
PAUSES = (0.5, 1.0, 2.0)
# Statuses of a proxy in front of a studio that is not there for the moment.
_AWAY = frozenset({0, 502, 503, 504})
_LONGEST_PAUSE = 10.0
# Seconds that something watched waits for a studio that is away.
PATIENCE = 600.0

Server = Annotated[str, typer.Option("--server", envvar="GIFT_SERVER", metavar="URL", help="Address of the studio.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class RefusedError(GiftError):
    """The studio did not do it, and said why."""

    code = "refused"


class _Environment(BaseSettings):
    """The key comes from here alone: an option would show in a list of processes."""

    model_config = SettingsConfigDict(frozen=True)

    gift_key: SecretStr = SecretStr("")


class _Numbered(Protocol):
    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=_Numbered)


@contextmanager
def connect(server: str, *, interrupted: str = "Interrupted.") -> Iterator[CommandClient]:
    """A connection to the studio at `server`; what goes wrong in the block is a `GiftError` that a person can act on.

    Ctrl-C raises `StoppedError` that says `interrupted`.
    """
    from ui.commands.client import CommandClient
    from ui.connection import StudioError

    server, key = _address_of(server), _key()
    try:
        with CommandClient(server, key) as client:
            yield client
    except StudioError as error:
        raise _refusal(error, server) from error
    except KeyboardInterrupt:
        raise StoppedError(interrupted) from None


def persistently(call: Callable[[], T], pauses: Iterable[float] = PAUSES, *, was_there: bool = False) -> T:
    """What `call` gives, tried again where the connection was lost: for what does no harm when it is done twice.

    A studio that cannot be reached in the first place is not waited for, unless it `was_there` a moment ago. Raises
    `StudioError`.
    """
    from ui.connection import StudioError

    for number, pause in enumerate(pauses):
        try:
            return call()
        except StudioError as error:
            if error.status not in _AWAY or (number == 0 and not was_there and _was_never_there(error)):
                raise
        time.sleep(pause)
    return call()


def pauses_within(patience: float) -> Iterator[float]:
    """Pauses that grow, and together are no longer than `patience` seconds."""
    pause = PAUSES[0]
    while patience > 0:
        yield min(pause, patience)
        patience -= pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def resumed(open_stream: Callable[[str | None], Iterator[E]], patience: float = PATIENCE) -> Iterator[E]:
    """Events without an end: a stream that breaks off is opened again, after the last event that came.

    Raises `StudioError` where the first attempt fails, on a refusal, and after `patience` seconds without the studio,
    counted from when it was lost: a stream may be silent for hours.
    """
    from ui.connection import StudioError

    last: str | None = None
    pause, lost = PAUSES[0], None
    while True:
        try:
            for event in open_stream(last):
                last, pause, lost = event.id, PAUSES[0], None
                yield event
        except StudioError as error:
            lost = lost or time.monotonic()
            if error.status not in _AWAY or last is None or time.monotonic() - lost >= patience:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _was_never_there(error: StudioError) -> bool:
    import httpx

    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)


def _address_of(server: str) -> str:
    """The studio's address as it is asked for. Raises `SpecError`."""
    try:
        return str(HttpAddress.parse(server))
    except AddressError as error:
        remedy = f"Write it like {DEFAULT_SERVER}."
        if "@" in server:
            remedy = "A list of processes would show it: set GIFT_KEY to an API key of the studio instead."
        raise SpecError(str(error), field="--server", remedy=remedy) from None


def _key() -> str:
    """The API key; raises `SpecError` for one that no request can carry."""
    key = _Environment().gift_key.get_secret_value().strip()
    if key and not is_token(key):
        raise SpecError(
            "An API key has letters, digits, _ and - only.",
            field="GIFT_KEY",
            remedy="Copy it again, whole and without quotation marks.",
        )
    return key


def _refusal(error: StudioError, server: str) -> GiftError:
    if error.status == 0:
        what = "takes too long to answer" if "too long" in str(error) else "does not answer"
        remedy = "Start it with `make run`, or name another with --server or GIFT_SERVER."
        return RefusedError(f"The studio at {server} {what}.", remedy=remedy)
    if error.status == 401:
        messages = [Problem(problem.message, remedy="Set GIFT_KEY to an API key.") for problem in error.problems]
        return RefusedError.of(messages)
    return RefusedError.of(error.problems)
