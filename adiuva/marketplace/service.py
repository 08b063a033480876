"""The marketplace's decisions: who may do what to a plugin, in which state, and what is paid for before."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import asyncpg
import stamina
from aiohttp import web
from attrs import frozen

from adiuva.billing.purchases.models import Buyer, Offer, Purchase
from adiuva.billing.purchases.service import Purchases
from adiuva.database import Connection, Database
from adiuva.errors import AdiuvaError, CheckoutRequiredError, NotFoundError, ValidationFailedError
from adiuva.marketplace import queries
from adiuva.marketplace.errors import (
    PluginIdTakenError,
    RatingNeedsInstallError,
    TooManyPendingError,
    VersionNotAboveError,
    WrongStatusError,
)
from adiuva.marketplace.models import MAX_PENDING, Held, Installation, Plugin, Rating, Submission
from adiuva.marketplace.packages import queries as package_queries
from adiuva.marketplace.submissions import queries as submission_queries
from adiuva.marketplace.submissions.checklist import check
from adiuva.marketplace.submissions.versions import is_above
from adiuva.web.access import Principal

T = TypeVar("T")

_TRIES = 5  # of a transaction that met another one in a circle


@frozen(kw_only=True)
class Marketplace:
    """What authors and users do; what admins do is in ``adiuva.marketplace.review``."""

    database: Database
    purchases: Purchases

    async def find(self, principal: Principal, plugin_id: str) -> Plugin:
        """A plugin; one that is not approved is seen by its author and by admins only.

        Raises:
            NotFoundError: there is none for this user.
        """
        async with self.database.acquire() as conn:
            plugin = await queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
        if plugin is None or not (plugin.status == "approved" or is_privileged(principal, plugin.author_id)):
            raise NotFoundError
        return plugin

    async def submit(self, principal: Principal, submission: Submission) -> Plugin:
        """Put a version into the review queue: of a new plugin, or of one of the author's, which goes on meanwhile.

        Raises:
            ValidationFailedError: it does not pass the security checklist.
            PluginIdTakenError: the id is another author's.
            VersionNotAboveError: the author has submitted that version, or a later one, before.
            TooManyPendingError: 50 of the author's plugins wait already.
        """

        async def work(conn: Connection) -> Plugin:
            await queries.lock_user(conn, principal.user_id)  # or two at once would both be the last that may wait
            check(submission, await queries.list_known(conn, author_id=principal.user_id))
            is_new = await submission_queries.insert_plugin(conn, submission, principal.user_id)
            plugin = await held(conn, submission.id)
            if plugin.author_id != principal.user_id:
                raise PluginIdTakenError
            if not is_new:
                await _require_rising(conn, plugin, submission.version)
                await submission_queries.end_pending(conn, plugin.id, "superseded")
                await package_queries.drop_unneeded(conn, plugin.id)
                await submission_queries.insert_version(conn, submission)
                await submission_queries.show_pending(conn, plugin.id)
            if await submission_queries.count_pending(conn, principal.user_id) > MAX_PENDING:
                raise TooManyPendingError
            return await _version(conn, plugin.id, submission.version, principal.user_id)

        return await self._transaction(work)

    async def withdraw(self, principal: Principal, plugin_id: str) -> None:
        """Take a plugin of one's own out of the marketplace: it serves nobody from now on.

        Raises:
            NotFoundError: it is not the user's.
            WrongStatusError: it is withdrawn already.
        """

        async def work(conn: Connection) -> None:
            plugin = await held(conn, plugin_id)
            if plugin.author_id != principal.user_id:
                raise NotFoundError
            if plugin.status == "withdrawn":
                raise WrongStatusError("The plugin is withdrawn already.")
            await submission_queries.end_pending(conn, plugin_id, "withdrawn")
            await queries.set_status(conn, plugin_id, "withdrawn")
            await package_queries.drop_unneeded(conn, plugin_id)

        await self._transaction(work)

    async def install(
        self, principal: Principal, plugin_id: str, accepted: Sequence[str] | None
    ) -> tuple[Installation, bool]:
        """Install a plugin, and pay for it where it costs something; gives also whether it is new.

        What was paid for once is free from then on. Authors do not pay for their own. ``accepted`` are the permissions
        that the plugin gets; None leaves them as they are, and for a new one means all that it asks for.

        Raises:
            NotFoundError: there is no such plugin to be installed.
            CheckoutRequiredError: it has to be paid for first.
            ValidationFailedError: the plugin does not ask for what is accepted.
        """
        accepted = None if accepted is None else list(dict.fromkeys(accepted))
        async with self.database.acquire() as conn:
            there = await self._installed(conn, principal, plugin_id)
            if there and accepted is None:
                return there, False
            plugin = await queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
        if plugin is None or plugin.status != "approved":
            raise NotFoundError
        _require_asked(plugin, accepted)
        bought: Purchase | None = None
        if there is None and _has_price(principal, plugin):
            bought = await self.purchases.buy(
                Buyer(user_id=principal.user_id, email=principal.email),
                Offer(
                    plugin_id=plugin.id,
                    name=plugin.name,
                    price_cents=plugin.price_cents,
                    currency=plugin.currency,
                    author_id=plugin.author_id,
                ),
            )
        try:
            return await self._transaction(lambda conn: self._install(conn, principal, plugin_id, accepted))
        except AdiuvaError:  # it was withdrawn, or the account ended, while it was paid for
            if bought is not None and bought.fresh:
                await self.purchases.give_back(bought)
            raise

    async def uninstall(self, principal: Principal, plugin_id: str) -> None:
        """Uninstall a plugin, whatever its status; what was paid for stays paid.

        Raises:
            NotFoundError: the user has not installed it.
        """

        async def work(conn: Connection) -> None:
            await held(conn, plugin_id)
            if not await queries.delete_installation(conn, user_id=principal.user_id, plugin_id=plugin_id):
                raise NotFoundError

        await self._transaction(work)

    async def rate(self, principal: Principal, plugin_id: str, stars: int) -> Rating:
        """Note what the user thinks of a plugin, in place of what the user thought before.

        Raises:
            NotFoundError: there is no such plugin.
            RatingNeedsInstallError: the user has not installed it.
        """

        async def work(conn: Connection) -> Rating:
            if (await held(conn, plugin_id)).status != "approved":
                raise NotFoundError
            if not await queries.rate(conn, user_id=principal.user_id, plugin_id=plugin_id, stars=stars):
                raise RatingNeedsInstallError
            return await queries.find_rating(conn, plugin_id)

        return await self._transaction(work)

    async def _install(
        self, conn: Connection, principal: Principal, plugin_id: str, accepted: Sequence[str] | None
    ) -> tuple[Installation, bool]:
        await held(conn, plugin_id)
        plugin = await queries.find_plugin(conn, plugin_id, user_id=principal.user_id)
        assert plugin is not None
        if plugin.status == "approved":
            _require_asked(plugin, accepted)
        if plugin.installed:
            if accepted is not None:
                await queries.accept_permissions(
                    conn, user_id=principal.user_id, plugin_id=plugin_id, accepted=accepted
                )
            return await self._there(conn, principal, plugin_id), False
        if plugin.status != "approved":
            raise NotFoundError
        paid = await self.purchases.find(conn, user_id=principal.user_id, plugin_id=plugin_id)
        if paid is None and _has_price(principal, plugin):
            raise CheckoutRequiredError  # it has got a price, or was refunded, since we looked
        await queries.insert_installation(conn, user_id=principal.user_id, plugin_id=plugin_id, accepted=accepted)
        return await self._there(conn, principal, plugin_id), True

    async def _there(self, conn: Connection, principal: Principal, plugin_id: str) -> Installation:
        installed = await self._installed(conn, principal, plugin_id)
        assert installed is not None
        return installed

    async def _installed(self, conn: Connection, principal: Principal, plugin_id: str) -> Installation | None:
        row = await queries.find_installation(conn, user_id=principal.user_id, plugin_id=plugin_id)
        if row is None:
            return None
        paid = await self.purchases.find(conn, user_id=principal.user_id, plugin_id=plugin_id)
        return Installation(**row, revenue=paid.revenue if paid else None)

    async def _transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await in_transaction(self.database, work)


async def in_transaction(database: Database, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do ``work`` in one transaction; where that met the end of an account in a circle of locks, once more."""
    async for attempt in stamina.retry_context(on=asyncpg.DeadlockDetectedError, attempts=_TRIES, wait_initial=0.05):
        with attempt:
            async with database.acquire() as conn, conn.transaction():
                return await work(conn)
    raise AssertionError


async def held(conn: Connection, plugin_id: str) -> Held:
    """A plugin that nobody else changes until the end of the transaction.

    Raises:
        NotFoundError: there is none.
    """
    plugin = await queries.lock_plugin(conn, plugin_id)
    if plugin is None:
        raise NotFoundError(f"There is no plugin {plugin_id}.")
    return plugin


async def remove_refunded(conn: Connection, user_id: UUID, plugin_id: str) -> None:
    """What billing calls once a user has got all the money for a plugin back: it is no longer the user's.

    The plugin is locked by a statement of its own, so that the next one sees what was installed in the meantime.
    """
    await queries.lock_plugin(conn, plugin_id)
    await queries.delete_installation(conn, user_id=user_id, plugin_id=plugin_id)


def is_privileged(principal: Principal, author_id: UUID | None) -> bool:
    """Whether the user sees all of a plugin: its author does, and every admin."""
    return principal.is_admin or principal.user_id == author_id


def _has_price(principal: Principal, plugin: Plugin | Held) -> bool:
    return plugin.price_cents > 0 and plugin.author_id != principal.user_id


def _require_asked(plugin: Plugin, accepted: Sequence[str] | None) -> None:
    faults = [
        (f"accept_permissions[{index}]", "is not what this plugin asks for")
        for index, permission in enumerate(accepted or ())
        if permission not in plugin.permissions
    ]
    if faults:
        raise ValidationFailedError(faults)


async def _require_rising(conn: Connection, plugin: Held, version: str) -> None:
    last = await submission_queries.find_last_version(conn, plugin.id)
    if not is_above(version, last):
        raise VersionNotAboveError(f"The version has to be above {last}, the last one that was submitted.")


async def _version(conn: Connection, plugin_id: str, version: str, user_id: UUID | None) -> Plugin:
    plugin = await queries.find_version(conn, plugin_id, version, user_id=user_id)
    assert plugin is not None
    return plugin


MARKETPLACE = web.AppKey("marketplace", Marketplace)
