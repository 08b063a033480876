"""What is done to accounts, each act in the audit log by the transaction that does it."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from adiuva.audit import queries as audit
from adiuva.audit.models import Actor
from adiuva.auth import queries
from adiuva.auth.models import User
from adiuva.auth.users import queries as user_queries
from adiuva.auth.users.errors import LastAdminError
from adiuva.database import Connection
from adiuva.errors import NotFoundError

Act = Callable[[Connection, Actor, str], Awaitable[bool]]
"""Does something to the account of an address, and writes it down; False if there is none."""


async def grant_admin(conn: Connection, actor: Actor, email: str) -> bool:
    """Make a user an admin."""
    found = await queries.set_admin(conn, email, is_admin=True)
    return await _noted(conn, actor, "user.grant_admin", email, found=found)


async def revoke_admin(conn: Connection, actor: Actor, email: str) -> bool:
    """Make a user an ordinary one again."""
    found = await queries.set_admin(conn, email, is_admin=False)
    return await _noted(conn, actor, "user.revoke_admin", email, found=found)


def give_tier(tier: str) -> Act:
    """The act that gives a user this tier, without a payment."""

    async def act(conn: Connection, actor: Actor, email: str) -> bool:
        found = await queries.set_tier(conn, email, tier)
        return await _noted(conn, actor, "user.set_tier", email, found=found, tier=tier)

    return act


async def change(conn: Connection, actor: Actor, user_id: UUID, act: Act) -> User:
    """Do ``act`` to the account with this id, in the caller's transaction; gives what it is then.

    Raises:
        NotFoundError: there is no such account.
        LastAdminError: it would leave nobody who could do such a thing here.
    """
    if act is revoke_admin and await user_queries.lock_admins(conn) == {user_id}:
        raise LastAdminError
    user = await user_queries.find_user(conn, user_id)
    if user is None or not await act(conn, actor, user.email):
        raise NotFoundError
    changed = await user_queries.find_user(conn, user_id)
    assert changed is not None  # the act holds its row
    return changed


async def _noted(conn: Connection, actor: Actor, action: str, email: str, *, found: bool, **details: str) -> bool:
    if found:
        await audit.append(conn, actor, action, email, details)
    return found
