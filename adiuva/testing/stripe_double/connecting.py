"""Connected accounts, and the transfers to them."""

from adiuva.testing.stripe_double.errors import ApiError
from adiuva.testing.stripe_double.forms import only, required, whole
from adiuva.testing.stripe_double.store import Object, Store


def create_account(store: Store, params: Object) -> Object:
    """``POST /v1/accounts``."""
    only(params, "type", "controller", "country", "email", "capabilities", "metadata", "business_type")
    wanted = params.get("capabilities", {})
    return store.add(
        "acct",
        "account",
        type=params.get("type"),
        email=params.get("email"),
        metadata=params.get("metadata", {}),
        capabilities=dict.fromkeys(wanted, "inactive"),
        details_submitted=False,
        payouts_enabled=False,
        _left=False,
    )


def retrieve_account(store: Store, params: Object, key: str) -> Object:
    """``GET /v1/accounts/:id``."""
    only(params, "expand")
    account = store.get("account", key)
    if account["_left"]:
        raise ApiError(403, "account_invalid", f"The provided key does not have access to account '{key}'.")
    return account


def leave(store: Store, account: Object) -> None:
    """The author disconnects the account from the platform."""
    account["_left"] = True
    store.tell("account.application.deauthorized", account)


def create_account_link(store: Store, params: Object) -> Object:
    """``POST /v1/account_links``: a page that can be opened once, within minutes."""
    only(params, "account", "refresh_url", "return_url", "type", "collection_options")
    required(params, "account", "refresh_url", "return_url", "type")
    store.get("account", params["account"])
    url = f"{store.base_url}/onboarding/{params['account']}"
    return {"object": "account_link", "created": store.now(), "expires_at": store.now() + 300, "url": url}


def create_transfer(store: Store, params: Object) -> Object:
    """``POST /v1/transfers``: never more than its charge has brought."""
    only(params, "amount", "currency", "destination", "source_transaction", "transfer_group", "metadata", "description")
    required(params, "currency", "destination")
    amount = whole(params, "amount")
    account = store.get("account", params["destination"])
    if account["capabilities"].get("transfers") != "active":
        message = "Your destination account needs to have at least one of the following capabilities enabled: transfers"
        raise ApiError(400, "insufficient_capabilities_for_transfer", message, saved=True)
    group = params.get("transfer_group")
    if (source := params.get("source_transaction")) is not None:
        charge = store.get("charge", source)
        sent = sum(transfer["amount"] for transfer in store.all("transfer", source_transaction=source))
        if amount + sent > charge["amount"]:
            raise ApiError(400, None, "The transfers of a charge cannot exceed its amount.", saved=True)
        group = group or charge["transfer_group"]
    transfer = store.add(
        "tr",
        "transfer",
        amount=amount,
        amount_reversed=0,
        reversed=False,
        currency=params["currency"],
        destination=params["destination"],
        source_transaction=source,
        transfer_group=group,
        metadata=params.get("metadata", {}),
    )
    store.tell("transfer.created", transfer)
    return transfer


def create_reversal(store: Store, params: Object, key: str) -> Object:
    """``POST /v1/transfers/:id/reversals``: never more than is left of it."""
    only(params, "amount", "metadata", "description", "refund_application_fee")
    transfer = store.get("transfer", key)
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = whole(params, "amount") if "amount" in params else left
    if not 0 < amount <= left:
        message = f"Reversal amount ({amount}) is greater than the amount left on the transfer ({left})."
        raise ApiError(400, None, message, saved=True)
    reversal = store.add("trr", "transfer_reversal", amount=amount, transfer=key, metadata=params.get("metadata", {}))
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    store.tell("transfer.reversed", transfer)
    return reversal


def onboard(store: Store, account: Object, *, done: bool = True) -> Object:
    """What an author does at Stripe: give the details; ``done``: Stripe is content, and transfers may come."""
    account.update(details_submitted=True, payouts_enabled=done)
    if done:
        account["capabilities"] = dict.fromkeys(account["capabilities"], "active")
    store.tell("account.updated", account, account=account["id"])
    return account
