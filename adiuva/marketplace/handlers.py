"""The marketplace over HTTP. Browsing, installing, rating and submitting are for the tiers that hold it."""

import re
from typing import Any

import attrs
from aiohttp import web

from adiuva import clock
from adiuva.audit.models import Actor
from adiuva.billing.purchases.models import Earnings, Period
from adiuva.billing.purchases.service import PURCHASES
from adiuva.billing.stripe import PaymentsUnavailableError
from adiuva.billing.tiers import require_feature
from adiuva.errors import BlobStoreUnavailableError, CheckoutRequiredError, NotFoundError, TierRequiredError
from adiuva.marketplace import queries
from adiuva.marketplace.errors import (
    NameTakenError,
    NotInstalledError,
    NotPendingError,
    PackageFixedError,
    PluginIdTakenError,
    RatingNeedsInstallError,
    ReviewOutdatedError,
    TooManyPendingError,
    VersionNotAboveError,
    WrongStatusError,
)
from adiuva.marketplace.models import (
    ID,
    MAX_ID_LENGTH,
    Installation,
    InstalledPlugin,
    InstallRequest,
    Plugin,
    Rating,
    RatingRequest,
    ReviewRequest,
    Search,
    Submission,
    SuspendRequest,
    Version,
    Waiting,
)
from adiuva.marketplace.packages.models import MAX_PACKAGE_BYTES
from adiuva.marketplace.packages.service import PACKAGES
from adiuva.marketplace.review import queries as review_queries
from adiuva.marketplace.review.service import REVIEWS
from adiuva.marketplace.service import MARKETPLACE, is_privileged
from adiuva.marketplace.submissions import queries as submission_queries
from adiuva.storage.download import BLOB_ERRORS, BLOB_PARAMETERS, blob_answers, send_blob
from adiuva.storage.models import Blob
from adiuva.storage.requests import X_CHECKSUM, checksum_parameter, read_body
from adiuva.web import wire
from adiuva.web.access import PRINCIPAL, Principal
from adiuva.web.describe import BYTES, NOTHING, Answer, Body, Extended, Listing, Parameter, query_parameters
from adiuva.web.keys import DATABASE
from adiuva.web.paging import page_parameters, read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

DEFAULT_LIMIT = 20


async def list_plugins(request: web.Request) -> web.Response:
    """The approved plugins, as the query wants them."""
    principal = customer(request)
    page = read_page(request, limit=DEFAULT_LIMIT)
    search = wire.structure(Search, {name: request.query[name] for name in SEARCHED if name in request.query})
    async with request.app[DATABASE].acquire() as conn:
        plugins, total = await queries.list_approved(
            conn,
            user_id=principal.user_id,
            category=search.category,
            words=tuple(dict.fromkeys(search.q.split())),
            sort=search.sort,
            page=page,
        )
    return json_response(page.listing(plugins, total=total))


async def list_mine(request: web.Request) -> web.Response:
    """The user's own plugins, whatever their status."""
    page = read_page(request, limit=DEFAULT_LIMIT)
    async with request.app[DATABASE].acquire() as conn:
        plugins, total = await queries.list_of_author(conn, request[PRINCIPAL].user_id, page)
    return json_response(page.listing(plugins, total=total))


async def list_installed(request: web.Request) -> web.Response:
    """What the user has installed, whatever its status, and what of it the user has yet to accept."""
    page, user_id = read_page(request, limit=DEFAULT_LIMIT), request[PRINCIPAL].user_id
    async with request.app[DATABASE].acquire() as conn:
        plugins, total = await queries.list_installed(conn, user_id, page)
        accepted = await queries.list_accepted(conn, user_id=user_id)
    return json_response(
        page.listing([_with_rights(plugin, accepted.get(plugin.id, [])) for plugin in plugins], total=total)
    )


def _with_rights(plugin: Plugin, accepted: list[str]) -> InstalledPlugin:
    pending = [permission for permission in plugin.permissions if permission not in accepted]
    return InstalledPlugin(**attrs.asdict(plugin), accepted_permissions=accepted, pending_permissions=pending)


async def get_plugin(request: web.Request) -> web.Response:
    """One plugin."""
    return json_response(await request.app[MARKETPLACE].find(customer(request), path_id(request)))


async def submit_plugin(request: web.Request) -> web.Response:
    """Submit a plugin, or a new version of one, for review."""
    principal = customer(request)
    submission = await read_json(request, Submission)
    return json_response(await request.app[MARKETPLACE].submit(principal, submission), status=201)


async def withdraw_plugin(request: web.Request) -> web.Response:
    """Take a plugin of one's own out of the marketplace."""
    await request.app[MARKETPLACE].withdraw(request[PRINCIPAL], path_id(request))
    return web.Response(status=204)


async def list_versions(request: web.Request) -> web.Response:
    """Every version of a plugin with its last review, the newest first: for its author and admins."""
    principal, plugin_id, page = request[PRINCIPAL], path_id(request), read_page(request, limit=DEFAULT_LIMIT)
    async with request.app[DATABASE].acquire() as conn:
        plugin = await queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
        if plugin is None or not is_privileged(principal, plugin.author_id):
            raise NotFoundError
        versions, total = await submission_queries.list_versions(conn, plugin_id, page)
    return json_response(page.listing(versions, total=total))


async def install_plugin(request: web.Request) -> web.Response:
    """Install a plugin; a second time it is there already. A body says which permissions are accepted."""
    principal, plugin_id = customer(request), path_id(request)
    body = await read_json(request, InstallRequest) if request.can_read_body else InstallRequest()
    installation, is_new = await request.app[MARKETPLACE].install(principal, plugin_id, body.accept_permissions)
    answer = attrs.asdict(installation)
    return json_response(_with_stub(request, answer) if installation.revenue else answer, status=201 if is_new else 200)


async def uninstall_plugin(request: web.Request) -> web.Response:
    """Uninstall a plugin."""
    await request.app[MARKETPLACE].uninstall(request[PRINCIPAL], path_id(request))
    return web.Response(status=204)


async def rate_plugin(request: web.Request) -> web.Response:
    """Rate a plugin that is installed."""
    principal, plugin_id = customer(request), path_id(request)
    body = await read_json(request, RatingRequest)
    return json_response(await request.app[MARKETPLACE].rate(principal, plugin_id, body.stars))


async def put_package(request: web.Request) -> web.Response:
    """Keep the package of the version that waits for a review."""
    principal, plugin_id = customer(request), path_id(request)
    body = read_body(request, limit=MAX_PACKAGE_BYTES)
    return json_response(await request.app[PACKAGES].upload(principal, plugin_id, body))


async def get_package(request: web.Request) -> web.StreamResponse:
    """The bytes of a plugin's package."""
    principal, plugin_id, packages = request[PRINCIPAL], path_id(request), request.app[PACKAGES]
    headers: dict[str, str] = {}

    async def find() -> Blob:
        blob = await packages.find(principal, plugin_id)
        headers[X_CHECKSUM] = blob.checksum
        return blob

    return await send_blob(request, find, headers)


async def get_earnings(request: web.Request) -> web.Response:
    """What the user's plugins have brought in a month; this one, where the query names none."""
    text = request.query.get("period")
    period = Period.of(clock.now()) if text is None else Period.parse(text)
    earnings = await request.app[PURCHASES].earnings(request[PRINCIPAL].user_id, period)
    return json_response(_with_stub(request, attrs.asdict(earnings)))


async def list_pending(request: web.Request) -> web.Response:
    """What waits for a review, the oldest first."""
    page = read_page(request, limit=DEFAULT_LIMIT)
    async with request.app[DATABASE].acquire() as conn:
        plugins, total = await review_queries.list_waiting(conn, page)
    return json_response(page.listing(plugins, total=total))


async def review_plugin(request: web.Request) -> web.Response:
    """Approve or reject what waits."""
    body = await read_json(request, ReviewRequest)
    return json_response(await request.app[REVIEWS].decide(Actor.of(request[PRINCIPAL]), path_id(request), body))


async def suspend_plugin(request: web.Request) -> web.Response:
    """Take an approved plugin away from everybody."""
    body = await read_json(request, SuspendRequest)
    return json_response(await request.app[REVIEWS].suspend(Actor.of(request[PRINCIPAL]), path_id(request), body.notes))


async def reinstate_plugin(request: web.Request) -> web.Response:
    """Let a suspended plugin go on."""
    return json_response(await request.app[REVIEWS].reinstate(Actor.of(request[PRINCIPAL]), path_id(request)))


def customer(request: web.Request) -> Principal:
    """The user, whose tier has to hold the marketplace.

    Raises:
        TierRequiredError: it does not.
    """
    principal = request[PRINCIPAL]
    require_feature(principal.tier, "marketplace")
    return principal


def path_id(request: web.Request) -> str:
    """The plugin's id in the path; what is none names nothing."""
    text = request.match_info["id"]
    if len(text) > MAX_ID_LENGTH or not re.fullmatch(ID.pattern, text):
        raise NotFoundError
    return text


def _with_stub(request: web.Request, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that names money says where none has moved."""
    return {**answer, "stub": True} if request.app[PURCHASES].stub else answer


SEARCHED = tuple(attribute.name for attribute in attrs.fields(Search))

_ID = Parameter("id", {"type": "string", "pattern": f"^{ID.pattern}$", "maxLength": MAX_ID_LENGTH}, where="path")
_PAGE = page_parameters(DEFAULT_LIMIT)
_PLUGINS = {200: Answer(Listing(Plugin))}
_PLUGIN = {200: Answer(Plugin)}
_STUB = {"stub": {"const": True, "description": "This server has no Stripe: no money has moved."}}
_SUBMISSION = {
    "id": "github-sync",
    "name": "GitHub Sync",
    "description": "Brings issues and tasks together.",
    "version": "1.4.0",
    "category": "sync",
    "price_cents": 499,
    "permissions": ["read:tasks", "write:tasks"],
}

ROUTES = [
    Route(
        "GET",
        "/plugins",
        list_plugins,
        parameters=(*query_parameters(Search), *_PAGE),
        answers=_PLUGINS,
        errors=(TierRequiredError,),
    ),
    Route(
        "POST",
        "/plugins",
        submit_plugin,
        body=Body(Submission, _SUBMISSION),
        answers={201: Answer(Plugin)},
        errors=(TierRequiredError, PluginIdTakenError, VersionNotAboveError, TooManyPendingError),
    ),
    Route(
        "GET",
        "/plugins/earnings",
        get_earnings,
        parameters=(Parameter("period", {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}, text="A month."),),
        answers={200: Answer(Extended(Earnings, _STUB))},
    ),
    Route(
        "GET", "/plugins/installed", list_installed, parameters=_PAGE, answers={200: Answer(Listing(InstalledPlugin))}
    ),
    Route("GET", "/plugins/mine", list_mine, parameters=_PAGE, answers=_PLUGINS),
    Route(
        "GET",
        "/plugins/{id}",
        get_plugin,
        parameters=(_ID,),
        answers={200: Answer(Plugin)},
        errors=(TierRequiredError,),
    ),
    Route(
        "DELETE",
        "/plugins/{id}",
        withdraw_plugin,
        parameters=(_ID,),
        answers=NOTHING,
        errors=(WrongStatusError,),
    ),
    Route(
        "GET",
        "/plugins/{id}/versions",
        list_versions,
        parameters=(_ID, *_PAGE),
        answers={200: Answer(Listing(Version))},
    ),
    Route(
        "POST",
        "/plugins/{id}/install",
        install_plugin,
        parameters=(_ID,),
        body=Body(InstallRequest, {"accept_permissions": ["read:tasks"]}, required=False),
        answers={
            200: Answer(Extended(Installation, _STUB), text="It was installed already."),
            201: Answer(Extended(Installation, _STUB)),
        },
        errors=(TierRequiredError, CheckoutRequiredError, PaymentsUnavailableError),
    ),
    Route(
        "DELETE",
        "/plugins/{id}/install",
        uninstall_plugin,
        parameters=(_ID,),
        answers=NOTHING,
    ),
    Route(
        "PUT",
        "/plugins/{id}/rating",
        rate_plugin,
        parameters=(_ID,),
        body=Body(RatingRequest, {"stars": 5}),
        answers={200: Answer(Rating)},
        errors=(TierRequiredError, RatingNeedsInstallError),
    ),
    Route(
        "PUT",
        "/plugins/{id}/package",
        put_package,
        parameters=(_ID, checksum_parameter()),
        body=BYTES,
        answers=_PLUGIN,
        errors=(TierRequiredError, PackageFixedError, BlobStoreUnavailableError),
    ),
    Route(
        "GET",
        "/plugins/{id}/package",
        get_package,
        parameters=(_ID, *BLOB_PARAMETERS),
        answers=blob_answers(X_CHECKSUM),
        errors=(TierRequiredError, NotInstalledError, *BLOB_ERRORS),
    ),
    Route(
        "GET",
        "/admin/plugins/pending",
        list_pending,
        access="admin",
        parameters=_PAGE,
        answers={200: Answer(Listing(Waiting))},
    ),
    Route(
        "POST",
        "/admin/plugins/{id}/review",
        review_plugin,
        access="admin",
        parameters=(_ID,),
        body=Body(ReviewRequest, {"decision": "rejected", "notes": "It asks for more than it needs."}),
        answers=_PLUGIN,
        errors=(NotPendingError, ReviewOutdatedError, NameTakenError),
    ),
    Route(
        "POST",
        "/admin/plugins/{id}/suspend",
        suspend_plugin,
        access="admin",
        parameters=(_ID,),
        body=Body(SuspendRequest, {"notes": "It calls a server that it does not name."}),
        answers=_PLUGIN,
        errors=(WrongStatusError,),
    ),
    Route(
        "POST",
        "/admin/plugins/{id}/reinstate",
        reinstate_plugin,
        access="admin",
        parameters=(_ID,),
        answers=_PLUGIN,
        errors=(WrongStatusError,),
    ),
]
