"""How much one account may have: jobs that wait, and bytes of data sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from api.caller import Caller
from gift_core.errors import GiftError
from workers.fairness.keyed_locks import KeyedLocks
from workers.studio import Studio

_MEGABYTE = 2**20


class QuotaError(GiftError):
    """The account has as much as it may have."""

    code = "quota"


class Quotas:
    """The quotas of all accounts. Admins have none."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._launching = KeyedLocks()

    @contextmanager
    def launching(self, caller: Caller, new: Callable[[], int]) -> Iterator[None]:
        """Within the block `new()` more jobs may be queued; raises `QuotaError` where these were too many.

        One launch of an account follows the other, so that two at once do not both see the last place, and the second
        of two equal ones sees what the first has made.
        """
        if caller.is_admin:
            yield
            return
        most = _own_or(caller.quota("queued_runs"), self._studio.settings.queued_runs)
        with self._launching.held(caller.account_id):
            waiting, more = self._studio.store.queued_by(caller.account_id), new()
            if more and waiting + more > most:
                raise QuotaError(
                    f"{waiting} of your jobs wait already, and {more} more would be above your {most}.",
                    field="jobs",
                    remedy="Launch fewer, stop some of those that wait, or wait until they have run.",
                )
            yield

    def uploading(self, caller: Caller, body: AsyncIterator[bytes], declared: int) -> AsyncIterator[bytes]:
        """The body as long as it fits; raises `QuotaError`, at once for one that says that it does not."""
        if caller.is_admin:
            return body
        most = self._most_bytes(caller)
        left = self.bytes_left(caller)
        if left is None or declared > left:
            raise _full(most)
        return _up_to(left, body, most)

    def bytes_left(self, caller: Caller) -> int | None:
        """How many bytes more the caller's data sets may have, None for any number; raises `QuotaError` for none."""
        if caller.is_admin:
            return None
        most = self._most_bytes(caller)
        left = most - self._uploaded(caller.account_id)
        if left <= 0:
            raise _full(most)
        return left

    def fetching(self, caller: Caller) -> Callable[[int], None]:
        """What raises `QuotaError` for a data set of more bytes than the account has left."""
        if caller.is_admin:
            return lambda _: None
        most = self._most_bytes(caller)

        def admit(size: int) -> None:
            left = most - self._uploaded(caller.account_id)
            if size > left or left <= 0:
                raise _full(most)

        return admit

    def _most_bytes(self, caller: Caller) -> int:
        return _own_or(caller.quota("upload_mb"), self._studio.settings.account_upload_mb) * _MEGABYTE

    def _uploaded(self, account_id: str) -> int:
        owned = self._studio.accounts.owned("dataset", account_id)
        return sum(dataset.bytes for dataset in self._studio.datasets.list() if dataset.id in owned)


async def _up_to(left: int, body: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    async for part in body:
        left -= len(part)
        if left < 0:
            raise _full(most)
        yield part


def _own_or(own: int | None, default: int) -> int:
    return default if own is None else own


def _full(most: int) -> QuotaError:
    return QuotaError(
        f"Your data sets may have {most // _MEGABYTE} MB together.",
        field="body",
        remedy="Choose a smaller one, delete one of yours, or ask an admin for more.",
    )
