"""The server of the double."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import orjson
from aiohttp import web
from attrs import define, field, frozen

from adiuva.testing.listening import Listening
from adiuva.testing.stripe_double import connecting, pages, paying, subscribing
from adiuva.testing.stripe_double.calls import answer, shown
from adiuva.testing.stripe_double.errors import ApiError
from adiuva.testing.stripe_double.faults import Fault
from adiuva.testing.stripe_double.forms import nested
from adiuva.testing.stripe_double.idempotency import Keys
from adiuva.testing.stripe_double.store import Object, Store
from adiuva.testing.stripe_double.webhooks import Webhooks

# The names under which Adiuva looks for its prices.
PRICES: Final = ("price_pro_monthly", "price_power_monthly", "price_team_monthly")

_BROKEN = ApiError(500, None, "An unknown error occurred.", type="api_error", saved=True)


@frozen(kw_only=True)
class Request:
    """A call that has come."""

    method: str
    path: str
    params: Object = field(repr=False)
    key: str | None  # of idempotency


@define(kw_only=True)
class StripeDouble(Listening):
    """``async with StripeDouble() as stripe``: set ``STRIPE_API_BASE`` to its ``base_url``.

    ``store`` is the truth; what a customer, an author or an operator does at Stripe are the methods. Events wait in
    ``webhooks`` until they are delivered; with ``automatic`` they go out at once.
    """

    api_key: str = "sk_test_double"
    webhook_secret: str = "whsec_double"
    automatic: bool = False
    clock: Callable[[], float] = time.time
    store: Store = field(init=False)
    keys: Keys = field(factory=Keys, init=False)
    webhooks: Webhooks = field(init=False)
    faults: list[Fault] = field(factory=list, init=False)
    requests: list[Request] = field(factory=list, init=False)
    _deliveries: "set[asyncio.Task[Any]]" = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        """What refers to one another."""
        self.webhooks = Webhooks(secret=self.webhook_secret)
        self.store = Store(clock=self.clock, emit=self._emit, prices=dict.fromkeys(PRICES))

    @property
    def base_url(self) -> str:
        """What ``STRIPE_API_BASE`` is set to."""
        return self.address

    def fail(self, path: str, **fault: Any) -> Fault:
        """Let calls go wrong; see `Fault`. ``path`` is a regular expression."""
        made = Fault(path=path, **fault)
        self.faults.append(made)
        return made

    def called(self, method: str, path: str) -> int:
        """How often a path was called."""
        return sum(request.method == method and request.path == path for request in self.requests)

    # What people do at Stripe.

    def pay(self, session: str, *, card: str = "pm_card_visa") -> Object:
        """Complete a checkout."""
        return subscribing.complete_session(self.store, self.store.get("checkout.session", session), card=card)

    def add_card(self, customer: str, card: str = "pm_card_visa") -> Object:
        """Put a card on file."""
        return paying.add_card(self.store, customer, card)

    def subscription(self, customer: str) -> Object:
        """A customer's newest subscription."""
        return self.store.all("subscription", customer=customer)[0]

    def change_price(self, customer: str, price: str) -> Object:
        """Choose another plan in the portal."""
        return subscribing.change_price(self.store, self.subscription(customer), price)

    def onboard(self, account: str) -> Object:
        """Complete an author's onboarding."""
        return connecting.onboard(self.store, self.store.get("account", account))

    def refund(self, intent: str, amount: int | None = None) -> Object:
        """Refund in the dashboard."""
        params = {"payment_intent": intent} | ({} if amount is None else {"amount": str(amount)})
        return paying.create_refund(self.store, params)

    async def settle(self) -> None:
        """Wait for the deliveries that are under way."""
        while self._deliveries:
            await asyncio.wait(self._deliveries)

    # The server.

    def make_app(self) -> web.Application:
        """The API, and the pages that people see."""
        app = web.Application(client_max_size=2**20)
        pages.add_to(app, self.store)
        app.router.add_route("*", "/v1/{path:.*}", self._handle)
        return app

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.store.base_url = self.base_url
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for delivery in self._deliveries:
            delivery.cancel()
        await super().__aexit__(kind, error, trace)

    def _emit(self, event: Object) -> None:
        self.webhooks.add(event)
        if self.automatic and self.webhooks.url:
            delivery = asyncio.create_task(self.webhooks.deliver([event]))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key")
        fault = next((fault for fault in self.faults if fault.takes(request.method, request.path)), None)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        status, body, replayed = await self._answer(request, key, fault.kind if fault else None)
        if fault is not None and fault.late:
            await asyncio.sleep(fault.late)
        if fault is not None and fault.kind in ("drop", "drop_after"):
            assert request.transport is not None
            request.transport.abort()
        if fault is not None and fault.kind == "hang_after":
            await asyncio.sleep(3600)
        headers = {"Request-Id": f"req_{len(self.requests)}"}
        if key:
            headers["Idempotency-Key"] = key
        if replayed:
            headers |= {"Idempotent-Replayed": "true", "Stripe-Should-Retry": "false"}
        return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)

    async def _answer(self, request: web.Request, key: str | None, fault: str | None) -> tuple[int, Any, bool]:
        saved = None
        try:
            params = nested(await _pairs(request))
            self.requests.append(Request(method=request.method, path=request.path, params=params, key=key))
            if fault == "drop":
                return 0, None, False
            self._admit(request, fault)
            if key and request.method == "POST":
                saved = self.keys.begin(key, (request.method, request.path, params))
                if saved is not None:
                    return saved.status, saved.body, True
        except ApiError as problem:
            return problem.status, problem.body, False
        try:
            status, body = self._do(request, params, fault)
        except ApiError as problem:
            if key:
                self.keys.save(key, problem.status, shown(problem.body)) if problem.saved else self.keys.forget(key)
            return problem.status, shown(problem.body), False
        if key:
            self.keys.save(key, status, body)
        return status, body, False

    def _admit(self, request: web.Request, fault: str | None) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.api_key}":
            raise ApiError(401, None, "Invalid API Key provided.")
        if fault == "refuse":
            raise ApiError(429, "rate_limit", "Too many requests.")

    def _do(self, request: web.Request, params: Object, fault: str | None) -> tuple[int, Any]:
        if fault == "fail":
            raise _BROKEN
        body = orjson.loads(orjson.dumps(answer(self.store, request.method, request.path, params)))
        if fault == "fail_after":
            raise _BROKEN
        return 200, body


async def _pairs(request: web.Request) -> list[tuple[str, str]]:
    if request.method != "POST":
        return list(request.query.items())
    raw = await request.read()
    if raw and request.content_type != "application/x-www-form-urlencoded":
        raise ApiError(400, None, "Bodies are form-encoded.")
    form = await request.post()
    return [(name, value) for name, value in form.items() if isinstance(value, str)]
