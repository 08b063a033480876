"""Stripe through its official library: loaded when first needed, asked asynchronously, its errors in our family."""

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog

from adiuva.errors import UnavailableError

if TYPE_CHECKING:
    from stripe import AIOHTTPClient, ListObject, StripeClient, StripeError, StripeObject
    from stripe._v1_services import V1Services

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 15.0
MAX_LISTED: Final = 1000

Object = dict[str, Any]
"""An object of Stripe's API as its JSON says it."""


def object_in(outer: Object, name: str) -> Object:
    """The object that another one has under ``name``; an empty one where it has none."""
    found = outer.get(name)
    return found if isinstance(found, dict) else {}


class PaymentsUnavailableError(UnavailableError):
    """Payments are not available right now; try again shortly."""

    code = "payments_unavailable"


class UncertainError(PaymentsUnavailableError):
    """Stripe has not said whether it did what it was asked.

    ``replayed``: it said so of an earlier call with the same idempotency key, which has therefore ended.
    """

    def __init__(self, *, replayed: bool = False) -> None:
        self.replayed = replayed
        super().__init__(retry_after=2)


class NotNowError(PaymentsUnavailableError):
    """Stripe has not begun with what it was asked: too many calls, or the same one is under way."""


class RefusedError(PaymentsUnavailableError):
    """Stripe refuses, and nothing has happened; ``reason`` is its own word for why."""

    def __init__(self, reason: str, about: Object | None = None) -> None:
        self.reason = reason
        self.about = about or {}
        super().__init__()


class MissingError(RefusedError):
    """Stripe has no such thing."""


class CardRefusedError(RefusedError):
    """The card does not pay, or not without asking its owner; ``about`` holds the payment intent."""


class Stripe:
    """The calls of one account at Stripe; close it in the end."""

    def __init__(self, *, api_key: str, api_base: str = "", retries: int = 1) -> None:
        """``api_base`` takes the place of Stripe's own address; ``retries`` are the library's, for each call."""
        self._api_key = api_key
        self._api_base = api_base.rstrip("/")
        self._retries = retries
        self._made: StripeClient | None = None
        self._http: AIOHTTPClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]
        self._made = self._http = None

    async def call(self, ask: "Callable[[V1Services], Awaitable[StripeObject]]") -> Object:
        """The object that ``ask`` brings, as plain data.

        Raises:
            UncertainError: nobody knows whether it happened: the connection broke, or Stripe failed.
            NotNowError: it has not begun; the same call may work in a moment.
            RefusedError: it did not happen: `MissingError`, `CardRefusedError`, or any other reason.
        """
        client = await self._client()
        from stripe import StripeError

        try:
            found = await ask(client.v1)
        except StripeError as error:
            raise _fault(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:  # while the answer was read
            raise UncertainError from error
        return found.to_dict()

    async def session(self, key: str) -> Object:
        """A checkout session as it is now; one that this account does not have is as good as expired."""
        try:
            return await self.call(lambda v1: v1.checkout.sessions.retrieve_async(key))
        except MissingError:
            return {"id": key, "status": "expired", "payment_status": "unpaid", "payment_intent": None}

    async def list(self, ask: "Callable[[V1Services], Awaitable[ListObject[Any]]]") -> list[Object]:
        """All objects of the list that ``ask`` brings, page after page. The errors are those of `call`."""
        client = await self._client()
        from stripe import StripeError

        found: list[Object] = []
        try:
            async for item in (await ask(client.v1)).auto_paging_iter():
                found.append(item.to_dict())
                if len(found) == MAX_LISTED:
                    log.warning("a list at Stripe is longer than is read", kind=found[0].get("object"))
                    break
        except StripeError as error:
            raise _fault(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UncertainError from error
        return found

    async def _client(self) -> "StripeClient":
        if self._made is not None:
            return self._made
        # The library has some thousand modules: clients are served while it loads.
        return self._make(await asyncio.to_thread(importlib.import_module, "stripe"))

    def _make(self, stripe: Any) -> "StripeClient":
        if self._made is not None:  # by somebody else meanwhile
            return self._made
        # Its debug lines have what is sent: names, addresses.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        stripe.enable_telemetry = False
        self._http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        self._made = made = stripe.StripeClient(
            self._api_key,
            base_addresses={"api": self._api_base} if self._api_base else None,
            max_network_retries=self._retries,
            http_client=self._http,
        )
        return made  # type: ignore[no-any-return]


def _fault(error: "StripeError") -> PaymentsUnavailableError:
    from stripe import AuthenticationError, CardError, PermissionError  # noqa: A004 - Stripe's names

    status = error.http_status
    if status is None:
        return UncertainError()
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if status >= 500:
        return UncertainError(replayed=headers.get("idempotent-replayed") == "true")
    if status in (409, 429):
        return NotNowError(retry_after=2)
    about = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    reason = error.code or str(about.get("type") or status)
    if about.get("code") == "account_invalid":  # a connected account that has left the platform
        return MissingError(reason, about)
    if isinstance(error, AuthenticationError | PermissionError):
        log.error("Stripe does not take STRIPE_SECRET_KEY", status=status, reason=reason)
        return NotNowError()
    if isinstance(error, CardError):
        return CardRefusedError(reason, about)
    if reason == "resource_missing":
        return MissingError(reason, about)
    log.warning("Stripe refused a call", status=status, reason=reason, parameter=about.get("param"))
    return RefusedError(reason, about)
