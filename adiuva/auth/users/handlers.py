"""Accounts over HTTP, for admins."""

from uuid import UUID

from aiohttp import web

from adiuva.audit.models import Actor
from adiuva.auth.models import User
from adiuva.auth.users import queries
from adiuva.auth.users.errors import LastAdminError
from adiuva.auth.users.models import Account, TierChange, UserSearch
from adiuva.auth.users.service import Act, change, give_tier, grant_admin, revoke_admin
from adiuva.errors import NotFoundError
from adiuva.tiers import TIER_NAMES
from adiuva.web import wire
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import UUID_TEXT, Answer, Body, Listing, Parameter, query_parameters
from adiuva.web.keys import DATABASE, SETTINGS
from adiuva.web.paging import page_parameters, read_page
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json


async def list_users(request: web.Request) -> web.Response:
    """The accounts that the query asks for, the oldest first."""
    page = read_page(request)
    search = wire.structure(UserSearch, {name: request.query[name] for name in ("q",) if name in request.query})
    async with request.app[DATABASE].acquire() as conn:
        users, total = await queries.search_users(conn, search.q, page)
    return json_response(page.listing([_account(request, user) for user in users], total=total))


async def set_tier(request: web.Request) -> web.Response:
    """Give a user a tier, without a payment."""
    body = await read_json(request, TierChange)
    return await _change(request, give_tier(body.tier))


async def grant(request: web.Request) -> web.Response:
    """Make a user an admin."""
    return await _change(request, grant_admin)


async def revoke(request: web.Request) -> web.Response:
    """Make a user an ordinary one again."""
    return await _change(request, revoke_admin)


async def _change(request: web.Request, act: Act) -> web.Response:
    try:
        user_id = UUID(request.match_info["id"])
    except ValueError:
        raise NotFoundError from None
    async with request.app[DATABASE].acquire() as conn, conn.transaction():
        user = await change(conn, Actor.of(request[PRINCIPAL]), user_id, act)
    return json_response(_account(request, user))


def _account(request: web.Request, user: User) -> Account:
    return Account(
        id=user.id,
        email=user.email,
        tier=user.tier or request.app[SETTINGS].default_tier,
        is_admin=user.is_admin,
        created_at=user.created_at,
    )


_ID = Parameter("id", UUID_TEXT, where="path")
_ACCOUNT = {200: Answer(Account)}

ROUTES = (
    Route(
        "GET",
        "/admin/users",
        list_users,
        access="admin",
        parameters=(*query_parameters(UserSearch), *page_parameters()),
        answers={200: Answer(Listing(Account))},
    ),
    Route(
        "PUT",
        "/admin/users/{id}/tier",
        set_tier,
        access="admin",
        parameters=(_ID,),
        body=Body(TierChange, {"tier": TIER_NAMES[1]}),
        answers=_ACCOUNT,
        errors=(NotFoundError,),
    ),
    Route(
        "PUT",
        "/admin/users/{id}/admin",
        grant,
        access="admin",
        parameters=(_ID,),
        answers=_ACCOUNT,
        errors=(NotFoundError,),
    ),
    Route(
        "DELETE",
        "/admin/users/{id}/admin",
        revoke,
        access="admin",
        parameters=(_ID,),
        answers=_ACCOUNT,
        errors=(NotFoundError, LastAdminError),
    ),
)
