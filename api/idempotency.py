"""`Idempotency-Key`: the same request sent again makes nothing new, and another one with its key is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from api.caller import Caller
from workers.keys import Claim

_HEADER = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=200,
    description="Any text unique to this request. Sent again with the same request, within a week, it makes nothing "
    "new; with another one it is refused with 409.",
)


@dataclass(frozen=True)
class Keyed:
    """The key of a request, where it has one, and what it is a request for."""

    key: str | None
    address: str

    def claim(self, caller: Caller, *asked: BaseModel) -> Claim | None:
        """The key as the caller's own, for `asked`. Of a secret in it counts only whether it is there."""
        key = caller.key(self.key)
        if key is None:
            return None
        text = json.dumps([self.address, *(each.model_dump(mode="json") for each in asked)], sort_keys=True)
        return Claim(key, hashlib.sha256(text.encode()).hexdigest())


async def _keyed(request: Request, idempotency_key: Annotated[str | None, _HEADER] = None) -> Keyed:
    return Keyed(idempotency_key, f"{request.method} {request.url.path}")


KeyedDependency = Annotated[Keyed, Depends(_keyed)]
