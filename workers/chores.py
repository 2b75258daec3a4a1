"""The chores of a studio's worker, put together from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.disk import GIGABYTE
from workers.housekeeping import Chore, Housekeeping, alone_in
from workers.leftovers import clear_leftovers
from workers.lifecycle.attempt_files import AsideSweep
from workers.notifications import Notifier
from workers.outbox import Outbox
from workers.retention import Limits, Retention
from workers.webhook_addresses import Target
from workers.webhooks import Webhooks

if TYPE_CHECKING:
    from workers.studio import Studio

_TELL_SECONDS = 1.0
_CLEAR_SECONDS = 300.0
_SWEEP_SECONDS = 5.0


def chores_of(studio: Studio) -> Housekeeping:
    """Telling whoever is to be told, and clearing up."""
    sweep = AsideSweep(studio.store, studio.sharing)
    housekeeping = Housekeeping(
        [
            Chore("clearing up", _CLEAR_SECONDS, _clearing(studio).do),
            Chore("dropping what is set aside", _SWEEP_SECONDS, sweep.look),
        ]
    )
    settings = studio.settings
    targets = {target.key: target for url in settings.webhook_urls if (target := Target.of(url.get_secret_value()))}
    if targets:
        outbox = Outbox(studio.store.database)
        notifier = Notifier(
            studio.store, outbox, targets.keys(), settings.stall_seconds, settings.entropy_collapse_share
        )
        webhooks = Webhooks(outbox, targets, settings.webhook_secret)
        housekeeping.add(Chore("looking for news", _TELL_SECONDS, notifier.look))
        housekeeping.add(Chore("delivering news", _TELL_SECONDS, lambda: webhooks.deliver(housekeeping.stopped.is_set)))
    return housekeeping


def _clearing(studio: Studio) -> _Clearing:
    settings = studio.settings
    quota = None if settings.disk_quota_gb is None else int(settings.disk_quota_gb * GIGABYTE)
    limits = Limits(quota, settings.keep_days)
    return _Clearing(studio, Retention(studio.store.database, studio.sharing, studio.trace_files, studio.sizes, limits))


class _Clearing:
    """By one process at a time, where several share a data folder."""

    def __init__(self, studio: Studio, retention: Retention) -> None:
        self._studio = studio
        self._retention = retention

    def do(self) -> None:
        with alone_in(self._studio.data) as alone:
            if alone:
                clear_leftovers(self._studio.data, self._studio.store.database)
                self._retention.look()
