"""Billing over HTTP: tiers, the subscription, Stripe's webhook, authors' accounts. Prices are not told here."""

import attrs
from aiohttp import web

from adiuva.billing.errors import NothingToCancelError, PriceMissingError, SameTierError
from adiuva.billing.events.inbox import NoSecretError
from adiuva.billing.events.signature import InvalidSignatureError
from adiuva.billing.models import Received, Tiers, TierView
from adiuva.billing.pages import page
from adiuva.billing.payouts.models import Connection
from adiuva.billing.service import BILLING
from adiuva.billing.stripe import PaymentsUnavailableError
from adiuva.billing.subscriptions.models import PAID_TIERS, Checkout, CheckoutRequest, SubscriptionView
from adiuva.errors import NotFoundError, TierRequiredError
from adiuva.tiers import TIER_NAMES, TIERS, Tier
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import Answer, Body, Extended, Parameter
from adiuva.web.keys import SETTINGS
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_bytes, read_json

_SIGNATURE = "Stripe-Signature"


async def list_tiers(request: web.Request) -> web.Response:
    """What each tier holds, from the smallest to the largest; null is "without a limit"."""
    limits = request.app[SETTINGS].rate_limits
    return json_response(Tiers(items=[_tier(name, limits[name]) for name in TIER_NAMES]))


def _tier(name: Tier, requests_per_minute: int) -> TierView:
    return TierView(tier=name, **(attrs.asdict(TIERS[name]) | {"requests_per_minute": requests_per_minute}))


async def checkout(request: web.Request) -> web.Response:
    """Where the user pays for a tier, or changes a subscription."""
    body, principal = await read_json(request, CheckoutRequest), request[PRINCIPAL]
    subscriptions = request.app[BILLING].subscriptions
    url = await subscriptions.checkout(principal.user_id, principal.email, body.tier)
    return json_response(attrs.asdict(Checkout(checkout_url=url)) | _stub(subscriptions.stub))


async def webhook(request: web.Request) -> web.Response:
    """Take an event from Stripe."""
    payload = await read_bytes(request)
    await request.app[BILLING].inbox.receive(payload, request.headers.get(_SIGNATURE, ""))
    return json_response(Received())


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


_EVENT = {"id": "evt_1", "object": "event", "type": "invoice.payment_failed", "data": {"object": {"id": "in_1"}}}
_STUB = {"stub": {"const": True, "description": "This server has no Stripe: no money moves."}}

ROUTES = [
    Route("GET", "/billing/tiers", list_tiers, access="public", answers={200: Answer(Tiers)}),
    Route(
        "POST",
        "/billing/checkout",
        checkout,
        body=Body(CheckoutRequest, {"tier": PAID_TIERS[0]}),
        answers={200: Answer(Extended(Checkout, _STUB))},
        errors=(NotFoundError, SameTierError, PaymentsUnavailableError, PriceMissingError),
    ),
    Route(
        "POST",
        "/billing/webhook",
        webhook,
        access="public",
        parameters=(Parameter(_SIGNATURE, {"type": "string"}, where="header", required=True, text="Stripe's own."),),
        body=Body({"type": "object", "description": "An event of Stripe's."}, _EVENT),
        answers={200: Answer(Received)},
        errors=(InvalidSignatureError, NoSecretError, PaymentsUnavailableError),
    ),
    Route("GET", "/billing/subscription", subscription, answers={200: Answer(SubscriptionView)}),
    Route(
        "DELETE",
        "/billing/subscription",
        cancel,
        answers={200: Answer(SubscriptionView)},
        errors=(NothingToCancelError, PaymentsUnavailableError),
    ),
    Route(
        "POST",
        "/billing/connect",
        connect,
        answers={200: Answer(Extended(Connection, _STUB))},
        errors=(TierRequiredError, NotFoundError, PaymentsUnavailableError),
    ),
    Route(
        "GET",
        "/billing/pages/{name}",
        show_page,
        access="public",
        answers={200: Answer({"type": "string"}, media_type="text/html")},
    ),
]
