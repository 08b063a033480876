"""Billing over HTTP: tiers, the subscription, Stripe's webhook, authors' accounts. Prices are not told here."""

from typing import Any

import attrs
from aiohttp import web

from adiuva.billing.pages import page
from adiuva.billing.service import BILLING
from adiuva.billing.subscriptions.models import CheckoutRequest
from adiuva.errors import NotFoundError
from adiuva.tiers import TIERS
from adiuva.web.access import PRINCIPAL
from adiuva.web.keys import SETTINGS
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_bytes, read_json

_SIGNATURE = "Stripe-Signature"


async def list_tiers(request: web.Request) -> web.Response:
    """What each tier holds, from the smallest to the largest; null is "without a limit"."""
    limits = request.app[SETTINGS].rate_limits
    return json_response({"items": [_tier(name, limits[name]) for name in TIERS]})


def _tier(name: str, requests_per_minute: int) -> dict[str, Any]:
    return {"tier": name, **attrs.asdict(TIERS[name]), "requests_per_minute": requests_per_minute}


async def checkout(request: web.Request) -> web.Response:
    """Where the user pays for a tier, or changes a subscription."""
    body, principal = await read_json(request, CheckoutRequest), request[PRINCIPAL]
    subscriptions = request.app[BILLING].subscriptions
    url = await subscriptions.checkout(principal.user_id, principal.email, body.tier)
    return json_response({"checkout_url": url} | _stub(subscriptions.stub))


async def webhook(request: web.Request) -> web.Response:
    """Take an event from Stripe."""
    payload = await read_bytes(request)
    await request.app[BILLING].inbox.receive(payload, request.headers.get(_SIGNATURE, ""))
    return json_response({"received": True})


async def subscription(request: web.Request) -> web.Response:
    """The user's subscription."""
    return json_response(await request.app[BILLING].subscriptions.view(request[PRINCIPAL].user_id))


async def cancel(request: web.Request) -> web.Response:
    """End the user's subscription, now."""
    return json_response(await request.app[BILLING].subscriptions.cancel(request[PRINCIPAL].user_id))


async def connect(request: web.Request) -> web.Response:
    """The author's account for earnings, and where to complete it."""
    principal, accounts = request[PRINCIPAL], request.app[BILLING].accounts
    connection = await accounts.connect(principal.user_id, principal.email, principal.tier)
    return json_response(attrs.asdict(connection) | _stub(accounts.stub))


async def show_page(request: web.Request) -> web.Response:
    """A page to which Stripe sends people back."""
    text = page(request.match_info["name"])
    if text is None:
        raise NotFoundError
    return web.Response(text=text, content_type="text/html")


def _stub(stub: bool) -> dict[str, bool]:
    return {"stub": True} if stub else {}


ROUTES = [
    Route("GET", "/billing/tiers", list_tiers, access="public"),
    Route("POST", "/billing/checkout", checkout),
    Route("POST", "/billing/webhook", webhook, access="public"),
    Route("GET", "/billing/subscription", subscription),
    Route("DELETE", "/billing/subscription", cancel),
    Route("POST", "/billing/connect", connect),
    Route("GET", "/billing/pages/{name}", show_page, access="public"),
]
