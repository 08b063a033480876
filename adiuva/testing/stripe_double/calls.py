"""The calls of the API that the double knows: method, path, and what answers."""

import re
from collections.abc import Callable
from typing import Any, Final

from adiuva.testing.stripe_double import connecting, paying, subscribing
from adiuva.testing.stripe_double.errors import ApiError
from adiuva.testing.stripe_double.forms import only
from adiuva.testing.stripe_double.store import Object, Store

Call = Callable[..., Object]
_MAX_PAGE: Final = 100


def _list(kind: str, *filters: str, **fixed: str) -> Call:
    """A list of objects, the newest first, by pages; the filters are the object's fields."""

    def answer(store: Store, params: Object, key: str | None = None) -> Object:
        only(
            params, *filters, "limit", "starting_after", "status", "created", "type", "expand", "lookup_keys", "active"
        )
        if params.get("customer", key if fixed.get("by") == "customer" else None) not in (None, *store.objects):
            raise ApiError(400, "resource_missing", "No such customer.", param="customer")
        wanted: dict[str, Any] = {name: params.get(name) for name in filters}
        if key is not None:
            wanted[fixed["by"]] = key
        if params.get("status") not in (None, "all"):
            wanted["status"] = params["status"]
        found = store.all(kind, **wanted)
        if since := params.get("created", {}).get("gte"):
            found = [item for item in found if item["created"] >= int(since)]
        if (after := params.get("starting_after")) is not None:
            ids = [item["id"] for item in found]
            if after not in ids:
                raise ApiError(400, "resource_missing", f"No such {kind}: '{after}'", param="starting_after")
            found = found[ids.index(after) + 1 :]
        limit = min(int(params.get("limit", 10)), _MAX_PAGE)
        return {"object": "list", "url": f"/v1/{kind}s", "data": found[:limit], "has_more": len(found) > limit}

    return answer


def _list_prices(store: Store, params: Object) -> Object:
    only(params, "lookup_keys", "active", "limit")
    wanted = params.get("lookup_keys", [*store.prices.values()])
    data = [{"id": key, "object": "price", "lookup_key": name} for key, name in store.prices.items() if name in wanted]
    return {"object": "list", "url": "/v1/prices", "data": data, "has_more": False}


def _balance(_store: Store, params: Object) -> Object:
    only(params)
    return {"object": "balance", "available": [], "pending": [], "livemode": False}


def _get(kind: str) -> Call:
    def answer(store: Store, params: Object, key: str) -> Object:
        only(params, "expand")
        return store.get(kind, key)

    return answer


_ID = r"([A-Za-z0-9_]+)"
CALLS: Final[list[tuple[str, re.Pattern[str], Call]]] = [
    (method, re.compile(path.replace(":id", _ID)), call)
    for method, path, call in (
        ("POST", "/v1/customers", subscribing.create_customer),
        ("GET", "/v1/customers", _list("customer", "email")),
        ("GET", "/v1/customers/:id", subscribing.retrieve_customer),
        ("DELETE", "/v1/customers/:id", subscribing.delete_customer),
        ("GET", "/v1/customers/:id/payment_methods", _list("payment_method", by="customer")),
        ("POST", "/v1/checkout/sessions", subscribing.create_session),
        ("GET", "/v1/checkout/sessions", _list("checkout.session", "customer", "payment_intent", "subscription")),
        ("GET", "/v1/checkout/sessions/:id", subscribing.retrieve_session),
        ("POST", "/v1/checkout/sessions/:id/expire", subscribing.expire_session),
        ("POST", "/v1/billing_portal/sessions", subscribing.create_portal_session),
        ("GET", "/v1/subscriptions", _list("subscription", "customer")),
        ("GET", "/v1/subscriptions/:id", subscribing.retrieve_subscription),
        ("DELETE", "/v1/subscriptions/:id", subscribing.cancel_subscription),
        ("GET", "/v1/prices", _list_prices),
        ("GET", "/v1/balance", _balance),
        ("POST", "/v1/payment_intents", paying.create_intent),
        ("GET", "/v1/payment_intents", _list("payment_intent", "customer")),
        ("GET", "/v1/payment_intents/:id", paying.retrieve_intent),
        ("POST", "/v1/payment_intents/:id/cancel", paying.cancel_intent),
        ("GET", "/v1/charges/:id", _get("charge")),
        ("POST", "/v1/refunds", paying.create_refund),
        ("GET", "/v1/refunds", _list("refund", "payment_intent", "charge")),
        ("GET", "/v1/disputes", _list("dispute", "payment_intent", "charge")),
        ("POST", "/v1/accounts", connecting.create_account),
        ("GET", "/v1/accounts", _list("account")),
        ("GET", "/v1/accounts/:id", connecting.retrieve_account),
        ("POST", "/v1/account_links", connecting.create_account_link),
        ("POST", "/v1/transfers", connecting.create_transfer),
        ("GET", "/v1/transfers", _list("transfer", "transfer_group", "destination")),
        ("POST", "/v1/transfers/:id/reversals", connecting.create_reversal),
        ("GET", "/v1/transfers/:id/reversals", _list("transfer_reversal", by="transfer")),
        ("GET", "/v1/events", _list("event")),
        ("GET", "/v1/events/:id", _get("event")),
    )
]


def answer(store: Store, method: str, path: str, params: Object) -> Object:
    """What the API answers; raises `ApiError` as Stripe would."""
    for known, pattern, call in CALLS:
        if known == method and (match := pattern.fullmatch(path)):
            found: Object = shown(call(store, params, *match.groups()))
            return found
    raise ApiError(404, None, f"Unrecognized request URL ({method}: {path}).")


def shown(value: Any) -> Any:
    """What of an object the API shows: names that begin with an underscore are the double's own."""
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items() if not name.startswith("_")}
    return [shown(item) for item in value] if isinstance(value, list) else value
