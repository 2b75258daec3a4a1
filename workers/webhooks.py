"""Delivers the messages of the outbox: signed, again and again until the receiver takes them, and only where it may."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address

import httpx
from pydantic import SecretStr

from workers.outbox import Delivery, Outbox
from workers.webhook_addresses import AddressError, Resolve, Target

logger = logging.getLogger(__name__)

SIGNATURE = "GIFT-Signature"
DELIVERY = "GIFT-Delivery"
MOST_TRIES = 12
# Longer than a try takes: whoever waits its turn is not to begin one while another process is still at it.
_FIRST_PAUSE_SECONDS = 15.0
_LONGEST_PAUSE_SECONDS = 3600.0
_TIMEOUT_SECONDS = 5.0


def pause_before(tries: int) -> float:
    """Seconds between a try and the next, `tries` having been made; none before the first."""
    return min(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), _LONGEST_PAUSE_SECONDS) if tries else 0.0


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>" in hexadecimal>`."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Webhooks:
    """Posts to `targets` by their keys. Messages to a receiver that is no longer among them are given up.

    Pauses are kept by this process's own clock: after a restart a message waits for its pause anew.
    """

    def __init__(
        self,
        outbox: Outbox,
        targets: Mapping[str, Target],
        secret: SecretStr | None = None,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve | None = None,
    ) -> None:
        self._outbox = outbox
        self._targets = targets
        self._secret = secret
        self._clock = clock
        self._resolve = resolve
        self._due: dict[tuple[int, int], float] = {}

    def deliver(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Try what is due, once each; `stopped` is asked in between."""
        waiting = self._outbox.open()
        now = self._clock()
        keys = {_key(each): each for each in waiting}
        self._due = {key: self._due.get(key, now + pause_before(each.tries)) for key, each in keys.items()}
        for key, delivery in keys.items():
            if stopped():
                return
            if self._due[key] <= now:
                self._try(delivery)

    def _try(self, delivery: Delivery) -> None:
        target = self._targets.get(delivery.target)
        if target is None:
            self._outbox.settle(delivery, "its receiver is not in the settings any more")
            return
        if not self._outbox.begin_try(delivery):
            return
        tries = delivery.tries + 1
        self._due[delivery.id or 0, tries] = self._clock() + pause_before(tries)
        try:
            status = self._post(target, delivery)
            done, outcome = 200 <= status < 300, str(status)
        except AddressError as error:
            done, outcome = False, f"not sent: {error}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Its kind alone: what it says may quote the URL.
            done, outcome = False, type(error).__name__
        if done or tries >= MOST_TRIES:
            self._outbox.settle(delivery, outcome)
        level = logging.INFO if done else logging.WARNING
        what = f"{delivery.event} of {delivery.job_id}, try {tries} of {MOST_TRIES}"
        logger.log(level, "webhook %s, %s: %s", target.key, what, outcome)

    def _post(self, target: Target, delivery: Delivery) -> int:
        """The status that the receiver answered with."""
        body = json.dumps({"id": str(delivery.id), **delivery.body}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "gift-studio", DELIVERY: str(delivery.id)}
        if self._secret:
            headers[SIGNATURE] = signature(self._secret.get_secret_value(), int(time.time()), body)
        return self._send(target, headers, body)

    def _send(self, target: Target, headers: dict[str, str], body: bytes) -> int:
        # To the address that was checked: the name could lead elsewhere by the time it is resolved once more.
        address = target.addresses(self._resolve)[0]
        url = httpx.URL(target.url)
        # No proxy of the environment, no redirect, and nothing of the answer but its status.
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                headers={**headers, "Host": url.netloc.decode("ascii")},
                content=body,
                # The certificate has to be the name's.
                extensions={"sni_hostname": url.raw_host.decode("ascii")} if _is_name(target.host) else {},
            )
            answer = client.send(request, stream=True)
            answer.close()
            return answer.status_code


def _key(delivery: Delivery) -> tuple[int, int]:
    return delivery.id or 0, delivery.tries


def _is_name(host: str) -> bool:
    with suppress(ValueError):
        ip_address(host)
        return False
    return True
