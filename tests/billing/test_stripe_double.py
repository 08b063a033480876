"""The double of Stripe behaves as Stripe documents: asked over HTTP, and through Stripe's own library."""

import subprocess
import sys
from typing import Any

import aiohttp
import pytest

from adiuva.billing.stripe import (
    CardRefusedError,
    MissingError,
    NotNowError,
    PaymentsUnavailableError,
    RefusedError,
    Stripe,
    UncertainError,
)
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import paying as at_stripe
from adiuva.testing.stripe_double.forms import nested

Answer = tuple[int, dict[str, Any], str | None]


async def post(stripe: StripeDouble, path: str, *, key: str = "", secret: str = "", **form: str) -> Answer:
    """Status, body, and whether it is a replay."""
    headers = {"Authorization": f"Bearer {secret or stripe.api_key}"} | ({"Idempotency-Key": key} if key else {})
    async with aiohttp.ClientSession() as http, http.post(stripe.base_url + path, data=form, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers.get("Idempotent-Replayed")


def test_forms_are_nested_with_brackets() -> None:
    pairs = [("a", "1"), ("b[c]", "2"), ("d[0][e]", "3"), ("d[1][e]", "4"), ("f[]", "5"), ("f[]", "6")]
    assert nested(pairs) == {"a": "1", "b": {"c": "2"}, "d": [{"e": "3"}, {"e": "4"}], "f": ["5", "6"]}


async def test_a_key_brings_the_same_answer_until_it_is_pruned(stripe: StripeDouble) -> None:
    first = await post(stripe, "/v1/customers", key="one", email="ada@example.com")
    again = await post(stripe, "/v1/customers", key="one", email="ada@example.com")
    assert (first[:2], first[2], again[2]) == (again[:2], None, "true")
    status, body, _ = await post(stripe, "/v1/customers", key="one", email="grace@example.com")
    assert (status, body["error"]["type"]) == (400, "idempotency_error")
    stripe.keys.prune()
    assert (await post(stripe, "/v1/customers", key="one", email="ada@example.com"))[1]["id"] != first[1]["id"]


async def test_a_key_brings_a_500_back_and_not_what_was_refused_before_it_began(stripe: StripeDouble) -> None:
    stripe.fail("/v1/customers", kind="fail_after")
    assert (await post(stripe, "/v1/customers", key="one"))[0] == 500
    assert (await post(stripe, "/v1/customers", key="one"))[::2] == (500, "true")
    assert len(stripe.store.all("customer")) == 1
    assert (await post(stripe, "/v1/customers", key="two", nonsense="1"))[0] == 400
    assert (await post(stripe, "/v1/customers", key="two", email="ada@example.com"))[0] == 200
    stripe.fail("/v1/customers", kind="refuse")
    assert (await post(stripe, "/v1/customers", key="three"))[0] == 429
    assert (await post(stripe, "/v1/customers", key="three"))[0] == 200


async def test_errors_have_stripes_shape(stripe: StripeDouble) -> None:
    for path, form, status, code in (
        ("/v1/customers", {"nonsense": "1"}, 400, "parameter_unknown"),
        ("/v1/payment_intents", {"amount": "100"}, 400, "parameter_missing"),
        ("/v1/payment_intents", {"amount": "x", "currency": "eur"}, 400, "parameter_invalid_integer"),
        ("/v1/payment_intents", {"amount": "49", "currency": "eur"}, 400, "amount_too_small"),
        ("/v1/refunds", {"payment_intent": "pi_nothing"}, 404, "resource_missing"),
        ("/v1/nothing", {}, 404, None),
    ):
        found, body, _ = await post(stripe, path, **form)
        assert (found, body["error"].get("code")) == (status, code)
        assert body["error"]["type"] == "invalid_request_error"
    assert (await post(stripe, "/v1/customers", secret="sk_test_other"))[0] == 401


async def test_no_transfer_or_reversal_exceeds_what_it_is_of(stripe: StripeDouble) -> None:
    store = stripe.store
    customer = (await post(stripe, "/v1/customers"))[1]["id"]
    card = at_stripe.add_card(store, customer)["id"]
    form = {"amount": "1000", "currency": "eur", "customer": customer, "payment_method": card, "confirm": "true"}
    intent = (await post(stripe, "/v1/payment_intents", **form))[1]
    account = (await post(stripe, "/v1/accounts", **{"capabilities[transfers][requested]": "true"}))[1]["id"]
    transfer = {"currency": "eur", "destination": account, "source_transaction": intent["latest_charge"]}
    status, body, _ = await post(stripe, "/v1/transfers", amount="700", **transfer)
    assert (status, body["error"]["code"]) == (400, "insufficient_capabilities_for_transfer")
    stripe.onboard(account)
    status, made, _ = await post(stripe, "/v1/transfers", amount="700", **transfer)
    assert status == 200
    assert (await post(stripe, "/v1/transfers", amount="301", **transfer))[0] == 400
    back = f"/v1/transfers/{made['id']}/reversals"
    assert [(await post(stripe, back, amount=amount))[0] for amount in ("400", "301", "300", "1")] == [
        200,
        400,
        200,
        400,
    ]
    assert (await post(stripe, "/v1/refunds", payment_intent=intent["id"], amount="1001"))[0] == 400


async def test_each_error_of_the_library_is_one_of_ours(stripe: StripeDouble) -> None:
    customer = (await post(stripe, "/v1/customers"))[1]["id"]
    card = at_stripe.add_card(stripe.store, customer, at_stripe.DECLINED)["id"]
    calls = Stripe(api_key=stripe.api_key, api_base=stripe.base_url, retries=0)
    wrong = Stripe(api_key="sk_test_other", api_base=stripe.base_url, retries=0)
    away = Stripe(api_key=stripe.api_key, api_base="http://127.0.0.1:1", retries=0)

    async def error(stripe: Stripe, **params: Any) -> PaymentsUnavailableError:
        with pytest.raises(PaymentsUnavailableError) as found:
            await stripe.call(lambda v1: v1.payment_intents.create_async(params))  # type: ignore[arg-type]
        return found.value

    charge = {"amount": 500, "currency": "eur", "customer": customer, "payment_method": card, "confirm": True}
    declined = await error(calls, **charge)
    assert isinstance(declined, CardRefusedError)
    assert (declined.reason, declined.about["payment_intent"]["status"]) == ("card_declined", "requires_payment_method")
    small = await error(calls, amount=1, currency="eur")
    assert isinstance(small, RefusedError)
    assert small.reason == "amount_too_small"
    assert isinstance(await error(calls, amount=500, currency="eur", payment_method="pm_nothing"), MissingError)
    assert type(await error(wrong, amount=500, currency="eur")) is NotNowError
    assert type(await error(away, amount=500, currency="eur")) is UncertainError
    stripe.fail("/v1/payment_intents", kind="refuse")
    assert type(await error(calls, amount=500, currency="eur")) is NotNowError
    for kind in ("fail", "drop"):
        stripe.fail("/v1/payment_intents", kind=kind)
        assert type(await error(calls, amount=500, currency="eur")) is UncertainError
    for one in (calls, wrong, away):
        await one.close()


async def test_lists_are_read_to_their_end(stripe: StripeDouble) -> None:
    for _ in range(25):
        await post(stripe, "/v1/customers", email="ada@example.com")
    calls = Stripe(api_key=stripe.api_key, api_base=stripe.base_url)
    found = await calls.list(lambda v1: v1.customers.list_async({"email": "ada@example.com", "limit": 10}))
    assert len({customer["id"] for customer in found}) == 25
    await calls.close()


async def test_people_can_click_through_its_pages(stripe: StripeDouble) -> None:
    customer = (await post(stripe, "/v1/customers"))[1]["id"]
    form = {
        "mode": "subscription",
        "customer": customer,
        "success_url": f"{stripe.base_url}/portal/done?{{CHECKOUT_SESSION_ID}}",
        "line_items[0][price]": "price_pro_monthly",
    }
    session = (await post(stripe, "/v1/checkout/sessions", **form))[1]
    async with aiohttp.ClientSession() as http:
        async with http.get(session["url"]) as page:
            assert "<button>Pay</button>" in await page.text()
        async with http.post(session["url"]) as page:
            assert str(page.url) == f"{stripe.base_url}/portal/done?{session['id']}"
        async with http.get(session["url"] + "x") as page:
            assert page.status == 404
    assert stripe.subscription(customer)["status"] == "active"


def test_it_runs_by_itself_and_says_what_to_set() -> None:
    command = [sys.executable, "-m", "adiuva.testing.stripe_double", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(4)]
        process.terminate()
    assert said[0] == "Start the server with"
    assert said[1].startswith("STRIPE_API_BASE=http://127.0.0.1:")
    assert said[2:] == ["STRIPE_SECRET_KEY=sk_test_double", "STRIPE_WEBHOOK_SECRET=whsec_double"]
