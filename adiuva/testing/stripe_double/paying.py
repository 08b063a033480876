"""Payment intents, charges and refunds."""

from typing import Any, Final

from adiuva.testing.stripe_double.errors import ApiError
from adiuva.testing.stripe_double.forms import only, required, whole
from adiuva.testing.stripe_double.store import Object, Store

DECLINED: Final = "pm_card_chargeDeclined"
ASKS_FIRST: Final = "pm_card_authenticationRequired"  # 3-D Secure: not without the customer


def add_card(store: Store, customer: str, card: str = "pm_card_visa") -> Object:
    """A card on file, as the customer's default."""
    method = keep_card(store, customer, card)
    store.get("customer", customer)["invoice_settings"] = {"default_payment_method": method["id"]}
    return method


def keep_card(store: Store, customer: str, card: str) -> Object:
    """The card that a checkout was paid with: it is the customer's, but nobody's default."""
    return store.add("pm", "payment_method", customer=customer, type="card", _card=card)


def create_intent(store: Store, params: Object) -> Object:
    """``POST /v1/payment_intents``."""
    only(
        params, "amount", "currency", "customer", "payment_method", "off_session", "confirm", "metadata",
        "transfer_group", "description", "payment_method_types", "automatic_payment_methods", "expand",
    )  # fmt: skip
    required(params, "currency")
    amount = whole(params, "amount")
    if amount < store.minimum_cents:
        raise ApiError(400, "amount_too_small", "Amount must be at least €0.50 eur", param="amount")
    method = params.get("payment_method")
    if method is not None and store.get("payment_method", method)["customer"] != params.get("customer"):
        raise ApiError(400, "payment_method_unexpected_state", "The payment method is another customer's.")
    intent = store.add(
        "pi",
        "payment_intent",
        amount=amount,
        amount_received=0,
        currency=params["currency"],
        customer=params.get("customer"),
        payment_method=method,
        metadata=params.get("metadata", {}),
        transfer_group=params.get("transfer_group"),
        status="requires_payment_method",
        latest_charge=None,
        last_payment_error=None,
    )
    if params.get("confirm") == "true":
        _confirm(store, intent)
    return intent


def retrieve_intent(store: Store, params: Object, key: str) -> Object:
    """``GET /v1/payment_intents/:id``."""
    only(params, "expand")
    return store.get("payment_intent", key)


def cancel_intent(store: Store, params: Object, key: str) -> Object:
    """``POST /v1/payment_intents/:id/cancel``."""
    only(params, "cancellation_reason")
    intent = store.get("payment_intent", key)
    if intent["status"] in ("succeeded", "canceled"):
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise ApiError(400, "payment_intent_unexpected_state", message, saved=True, payment_intent=intent)
    if store.all("checkout.session", payment_intent=key):
        message = "You cannot cancel the PaymentIntent of a Checkout Session: expire the session instead."
        raise ApiError(400, "payment_intent_unexpected_state", message, saved=True, payment_intent=intent)
    intent["status"] = "canceled"
    store.tell("payment_intent.canceled", intent)
    return intent


def create_refund(store: Store, params: Object) -> Object:
    """``POST /v1/refunds``."""
    only(params, "payment_intent", "charge", "amount", "reason", "metadata")
    intent = store.get("payment_intent", params.get("payment_intent", ""))
    charge = store.get("charge", intent["latest_charge"] or "")
    if charge["disputed"]:
        raise ApiError(400, "charge_disputed", "The charge is disputed: it cannot be refunded.", saved=True)
    left = charge["amount"] - charge["amount_refunded"]
    amount = whole(params, "amount") if "amount" in params else left
    if not 0 < amount <= left:
        code = None if left else "charge_already_refunded"
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})."
        raise ApiError(400, code, message, saved=True)
    refund = store.add(
        "re",
        "refund",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=intent["id"],
        status="succeeded",
        metadata=params.get("metadata", {}),
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    store.tell("refund.created", refund)
    store.tell("charge.refunded", charge)
    return refund


def fail_refund(store: Store, refund: Object) -> Object:
    """A refund that does not reach the buyer after all: the money is back on the platform's balance."""
    charge = store.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    refund["status"] = "failed"
    store.tell("refund.failed", refund)
    return refund


def dispute(store: Store, charge: Object) -> Object:
    """The buyer's bank takes a charge back: the money leaves the platform's balance at once."""
    found = store.add(
        "du",
        "dispute",
        amount=charge["amount"],
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        status="needs_response",
        reason="fraudulent",
    )
    charge["disputed"] = True
    store.tell("charge.dispute.created", found)
    store.tell("charge.dispute.funds_withdrawn", found)
    return found


def close_dispute(store: Store, dispute: Object, *, won: bool) -> Object:
    """The bank has decided; won, the money is back on the platform's balance."""
    dispute["status"] = "won" if won else "lost"
    store.tell("charge.dispute.closed", dispute)
    if won:
        store.tell("charge.dispute.funds_reinstated", dispute)
    return dispute


def pay_session(store: Store, session: Object, card: str) -> None:
    """The payment of a checkout in mode ``payment``."""
    params = session["_params"]
    data = params.get("payment_intent_data", {})
    only(data, "metadata", "transfer_group", "setup_future_usage", "description")
    amount = sum(whole(item["price_data"], "unit_amount") * whole(item, "quantity") for item in params["line_items"])
    method = keep_card(store, session["customer"], card) if session["customer"] else None
    intent = create_intent(
        store,
        {
            "amount": str(amount),
            "currency": params["line_items"][0]["price_data"]["currency"],
            "customer": session["customer"],
            "payment_method": method["id"] if method else None,
            "metadata": data.get("metadata", {}),
            "transfer_group": data.get("transfer_group"),
        },
    )
    session["payment_intent"] = intent["id"]
    _charge(store, intent)


def _confirm(store: Store, intent: Object) -> None:
    if intent["payment_method"] is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise ApiError(400, "payment_intent_unexpected_state", message, saved=True)
    card = store.get("payment_method", intent["payment_method"])["_card"]
    if card == DECLINED:
        raise _refused(store, intent, "card_declined", decline_code="generic_decline")
    if card == ASKS_FIRST:
        raise _refused(store, intent, "authentication_required", decline_code="authentication_required")
    _charge(store, intent)


def _refused(store: Store, intent: Object, code: str, **more: Any) -> ApiError:
    intent.update(status="requires_payment_method", payment_method=None, last_payment_error={"code": code, **more})
    store.tell("payment_intent.payment_failed", intent)
    return ApiError(402, code, "Your card was declined.", type="card_error", saved=True, payment_intent=intent, **more)


def _charge(store: Store, intent: Object) -> None:
    charge = store.add(
        "ch",
        "charge",
        amount=intent["amount"],
        amount_refunded=0,
        refunded=False,
        disputed=False,
        currency=intent["currency"],
        customer=intent["customer"],
        payment_intent=intent["id"],
        transfer_group=intent["transfer_group"],
        metadata=dict(intent["metadata"]),
        paid=True,
        status="succeeded",
    )
    intent.update(status="succeeded", latest_charge=charge["id"], amount_received=intent["amount"])
    store.tell("charge.succeeded", charge)
    store.tell("payment_intent.succeeded", intent)
