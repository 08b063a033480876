"""Customers, checkout, subscriptions and the portal, as calls of the API and as what customers do."""

from typing import Any, Final

from adiuva.testing.stripe_double.errors import ApiError, missing
from adiuva.testing.stripe_double.forms import only, required
from adiuva.testing.stripe_double.paying import keep_card, pay_session
from adiuva.testing.stripe_double.store import Object, Store

MONTH: Final = 30 * 86400
DAY: Final = 86400
LIVE: Final = frozenset({"active", "trialing", "past_due", "unpaid", "incomplete"})


def create_customer(store: Store, params: Object) -> Object:
    """``POST /v1/customers``."""
    only(params, "email", "metadata", "name")
    return store.add(
        "cus",
        "customer",
        email=params.get("email"),
        metadata=params.get("metadata", {}),
        invoice_settings={"default_payment_method": None},
    )


def retrieve_customer(store: Store, params: Object, key: str) -> Object:
    """``GET /v1/customers/:id``; one that was deleted says so."""
    only(params, "expand")
    return store.get("customer", key)


def delete_customer(store: Store, params: Object, key: str) -> Object:
    """``DELETE /v1/customers/:id``: its subscriptions end at once."""
    only(params)
    if store.get("customer", key).get("deleted"):
        raise missing("customer", key)
    for subscription in store.all("subscription", customer=key):
        if subscription["status"] in LIVE:
            end_subscription(store, subscription)
    store.objects[key] = {"id": key, "object": "customer", "deleted": True, "created": 0, "email": None, "metadata": {}}
    return {"id": key, "object": "customer", "deleted": True}


def create_session(store: Store, params: Object) -> Object:
    """``POST /v1/checkout/sessions``."""
    only(
        params, "mode", "customer", "client_reference_id", "line_items", "success_url", "cancel_url", "metadata",
        "subscription_data", "payment_intent_data", "expires_at", "allow_promotion_codes",
    )  # fmt: skip
    required(params, "mode", "success_url", "line_items")
    _living(store, params.get("customer"))
    if params["mode"] == "subscription":
        for item in params["line_items"]:
            required(item, "price")
            _price(store, item["price"])
    session = store.add(
        "cs_test",
        "checkout.session",
        mode=params["mode"],
        customer=params.get("customer"),
        client_reference_id=params.get("client_reference_id"),
        metadata=params.get("metadata", {}),
        success_url=params["success_url"],
        cancel_url=params.get("cancel_url"),
        status="open",
        payment_status="unpaid",
        subscription=None,
        payment_intent=None,
        expires_at=int(params.get("expires_at") or store.now() + DAY),
        _params=params,
    )
    session["url"] = f"{store.base_url}/pay/{session['id']}"
    return session


def retrieve_session(store: Store, params: Object, key: str) -> Object:
    """``GET /v1/checkout/sessions/:id``."""
    only(params, "expand")
    return _aged(store, store.get("checkout.session", key))


def expire_session(store: Store, params: Object, key: str) -> Object:
    """``POST /v1/checkout/sessions/:id/expire``."""
    only(params)
    session = _aged(store, store.get("checkout.session", key))
    if session["status"] != "open":
        message = 'Only Checkout Sessions with a status in ["open"] can be expired.'
        raise ApiError(400, None, message, saved=True)
    session.update(status="expired", url=None)
    store.tell("checkout.session.expired", session)
    return session


def create_portal_session(store: Store, params: Object) -> Object:
    """``POST /v1/billing_portal/sessions``."""
    only(params, "customer", "return_url", "configuration")
    required(params, "customer")
    _living(store, params["customer"])
    portal = store.add(
        "bps", "billing_portal.session", customer=params["customer"], return_url=params.get("return_url")
    )
    portal["url"] = f"{store.base_url}/portal/{portal['id']}"
    return portal


def retrieve_subscription(store: Store, params: Object, key: str) -> Object:
    """``GET /v1/subscriptions/:id``."""
    only(params, "expand")
    return store.get("subscription", key)


def cancel_subscription(store: Store, params: Object, key: str) -> Object:
    """``DELETE /v1/subscriptions/:id``: at once. One that has ended already is not found, as at Stripe."""
    only(params, "prorate", "invoice_now")
    subscription = store.get("subscription", key)
    if subscription["status"] not in LIVE:
        raise missing("subscription", key)
    return end_subscription(store, subscription)


def complete_session(store: Store, session: Object, *, card: str = "pm_card_visa") -> Object:
    """What a customer does on the checkout page: pay, with a card that is kept for later."""
    if _aged(store, session)["status"] != "open":
        message = f"The session is {session['status']}."
        raise ApiError(400, None, message)
    if session["mode"] == "payment":
        pay_session(store, session, card)
    else:
        _subscribe(store, session, card)
    session.update(status="complete", payment_status="paid", url=None)
    store.tell("checkout.session.completed", session)
    return session


def change_subscription(store: Store, subscription: Object, **values: Any) -> Object:
    """Whatever changes a subscription at Stripe; the event tells of it."""
    previous = {name: subscription.get(name) for name in values}
    subscription.update(values)
    store.tell("customer.subscription.updated", subscription, previous=previous)
    return subscription


def change_price(store: Store, subscription: Object, price: str) -> Object:
    """Another plan, as chosen in the portal."""
    [item] = subscription["items"]["data"]
    items = {**subscription["items"], "data": [{**item, "price": _price(store, price)}]}
    return change_subscription(store, subscription, items=items)


def fail_invoice(store: Store, subscription: Object) -> Object:
    """A renewal whose payment fails."""
    change_subscription(store, subscription, status="past_due")
    invoice = store.add(
        "in",
        "invoice",
        customer=subscription["customer"],
        status="open",
        parent={"type": "subscription_details", "subscription_details": {"subscription": subscription["id"]}},
    )
    store.tell("invoice.payment_failed", invoice)
    return invoice


def renew(store: Store, subscription: Object) -> Object:
    """A renewal that is paid: a month more."""
    [item] = subscription["items"]["data"]
    later = {**item, "current_period_end": item["current_period_end"] + MONTH}
    return change_subscription(store, subscription, status="active", items={**subscription["items"], "data": [later]})


def end_subscription(store: Store, subscription: Object) -> Object:
    """The end of a subscription."""
    subscription.update(status="canceled", ended_at=store.now(), canceled_at=store.now())
    store.tell("customer.subscription.deleted", subscription)
    return subscription


def _subscribe(store: Store, session: Object, card: str) -> None:
    params = session["_params"]
    if session["customer"] is None:
        session["customer"] = create_customer(store, {})["id"]
    method = keep_card(store, session["customer"], card)
    subscription = store.add(
        "sub",
        "subscription",
        customer=session["customer"],
        status="active",
        cancel_at_period_end=False,
        metadata=params.get("subscription_data", {}).get("metadata", {}),
        default_payment_method=method["id"],
        ended_at=None,
        items={
            "object": "list",
            "data": [
                {
                    "id": f"si_{number}",
                    "object": "subscription_item",
                    "price": _price(store, item["price"]),
                    "quantity": int(item.get("quantity", 1)),
                    "current_period_end": store.now() + MONTH,
                }
                for number, item in enumerate(params["line_items"])
            ],
        },
    )
    session["subscription"] = subscription["id"]
    store.tell("customer.subscription.created", subscription)


def _price(store: Store, key: str) -> Object:
    if key not in store.prices:
        raise ApiError(400, "resource_missing", f"No such price: '{key}'", param="line_items[0][price]")
    return {"id": key, "object": "price", "lookup_key": store.prices[key]}


def _living(store: Store, customer: str | None) -> None:
    if customer is None:
        return
    if store.objects.get(customer, {"deleted": True}).get("deleted"):
        raise ApiError(400, "resource_missing", f"No such customer: '{customer}'", param="customer")


def _aged(store: Store, session: Object) -> Object:
    if session["status"] == "open" and session["expires_at"] <= store.now():
        session.update(status="expired", url=None)
    return session
