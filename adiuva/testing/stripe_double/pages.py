"""The pages that Stripe would show to people: checkout and onboarding, one button each."""

from collections.abc import Awaitable, Callable
from html import escape

from aiohttp import web

from adiuva.testing.stripe_double import connecting, subscribing
from adiuva.testing.stripe_double.errors import ApiError
from adiuva.testing.stripe_double.store import Store

_PAGE = """<!doctype html><meta charset="utf-8"><title>Stripe double</title>
<body style="font-family:sans-serif;max-width:32em;margin:4em auto">
<h1>{title}</h1><p>{text}</p>{form}<p><small>A double of Stripe: no money moves.</small></p>
"""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BUTTON = '<form method="post"><button>{}</button></form>'


def add_to(app: web.Application, store: Store) -> None:
    """Show the pages in ``app``."""

    async def checkout(request: web.Request) -> web.Response:
        session = store.get("checkout.session", request.match_info["id"])
        if request.method == "POST":
            subscribing.complete_session(store, session)
            url = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
            raise web.HTTPSeeOther(url)
        button = _BUTTON.format("Pay") if session["status"] == "open" else ""
        return _page("Checkout", f"{session['mode']}: {session['status']}", button)

    async def onboarding(request: web.Request) -> web.Response:
        account = store.get("account", request.match_info["id"])
        if request.method == "POST":
            connecting.onboard(store, account)
        state = "is ready for transfers" if account["payouts_enabled"] else "lacks details"
        return _page("Onboarding", f"{account['id']} {state}.", _BUTTON.format("Give the details"))

    async def portal(_: web.Request) -> web.Response:
        return _page("Billing portal", "Here customers change their plan.", "")

    for path, handler in (("/pay/{id}", checkout), ("/onboarding/{id}", onboarding), ("/portal/{id}", portal)):
        app.router.add_route("*", path, _found(handler))


def _found(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as problem:
            return web.Response(status=problem.status, text=str(problem))

    return answer


def _page(title: str, text: str, form: str) -> web.Response:
    content = _PAGE.format(title=escape(title), text=escape(text), form=form)
    return web.Response(text=content, content_type="text/html")
