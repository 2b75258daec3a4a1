"""Data of the Hub that a launch names: fetched and kept as if it had been asked for by itself."""

from __future__ import annotations

from api.caller import Caller
from api.dependencies import Services
from gift_core.data_spec import DataSpec, HubSource


def fetch_named(services: Services, caller: Caller, data: DataSpec) -> None:
    """Fetch the split of the Hub that a run names, unless the studio has it.

    Raises `QuotaError`, and `DataError` if the Hub cannot be asked, which a studio that is kept off the network says.
    """
    datasets = services.studio.datasets
    if isinstance(data.source, HubSource) and datasets.fetched(data.source) is None:
        dataset = datasets.fetch(data.source, services.quotas.fetching(caller), caller.requester)
        services.studio.accounts.claim(f"dataset/{dataset.id}", caller.account_id)
