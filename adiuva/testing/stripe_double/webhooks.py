"""Webhooks: signed as Stripe signs them, and kept until they are acknowledged; tests choose the order."""

import hashlib
import hmac
import time
from collections.abc import Iterable
from typing import Any

import aiohttp
import orjson
from attrs import define, field

from adiuva.testing.stripe_double.calls import shown
from adiuva.testing.stripe_double.store import Object


def signature(payload: bytes, secret: str, *, at: float | None = None) -> str:
    """The ``Stripe-Signature`` of a body: HMAC-SHA256 of time and body, scheme v1."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@define(kw_only=True)
class Webhooks:
    """Events on their way to ``url``; ``pending`` are those that nobody has acknowledged."""

    secret: str
    url: str = ""
    pending: dict[str, Object] = field(factory=dict, init=False)
    statuses: list[int] = field(factory=list, init=False)

    def add(self, event: Object) -> None:
        """An event that is to be delivered."""
        self.pending[event["id"]] = event

    async def deliver(self, events: Iterable[Object] | None = None) -> list[int]:
        """Send these events, or all pending ones, one after another; their statuses, 0 where nobody answered."""
        chosen = list(self.pending.values()) if events is None else list(events)
        async with aiohttp.ClientSession() as http:
            return [await self._send(http, event) for event in chosen]

    async def _send(self, http: aiohttp.ClientSession, event: Object) -> int:
        payload = orjson.dumps(shown(event))
        headers: dict[str, Any] = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(payload, self.secret),
        }
        try:
            async with http.post(self.url, data=payload, headers=headers, timeout=aiohttp.ClientTimeout(20)) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if 200 <= status < 300:
            self.pending.pop(event["id"], None)
        self.statuses.append(status)
        return status
