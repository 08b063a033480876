"""What admins decide about plugins. Each act is in the audit log, in the transaction that does it."""

from aiohttp import web
from attrs import frozen

from adiuva.audit import queries as audit
from adiuva.audit.models import Actor
from adiuva.clock import new_id
from adiuva.database import Connection, Database
from adiuva.errors import ValidationFailedError
from adiuva.marketplace import queries as plugin_queries
from adiuva.marketplace.errors import NameTakenError, NotPendingError, ReviewOutdatedError, WrongStatusError
from adiuva.marketplace.models import Candidate, Held, Plugin, ReviewRequest
from adiuva.marketplace.packages import queries as package_queries
from adiuva.marketplace.review import queries
from adiuva.marketplace.service import held, in_transaction
from adiuva.marketplace.submissions.checklist import confusions


@frozen(kw_only=True)
class Reviews:
    """Every act is some admin's: over HTTP, or at the command line."""

    database: Database

    async def decide(self, actor: Actor, plugin_id: str, request: ReviewRequest) -> Plugin:
        """Approve or reject what of a plugin waits: a version, with its package, or a package alone.

        Raises:
            ValidationFailedError: a rejection without notes, which its author would have to guess.
            NotFoundError: there is no such plugin.
            NotPendingError: nothing of it waits.
            ReviewOutdatedError: what waits is not what ``request`` says was looked at.
            NameTakenError: approved, users would confuse it with another author's.
        """
        if request.decision == "rejected" and not request.notes.strip():
            raise ValidationFailedError([("notes", "must say why the plugin is rejected")])

        async def work(conn: Connection) -> Plugin:
            await queries.lock_approvals(conn)
            plugin = await held(conn, plugin_id)
            candidate = await queries.find_candidate(conn, plugin_id)
            if candidate is None:
                raise NotPendingError
            _require_looked_at(candidate, request)
            if request.decision == "approved":
                await _require_distinct(conn, plugin, candidate)
                await queries.approve(conn, plugin_id, candidate.position)
            elif candidate.status == "approved":
                await package_queries.drop(conn, plugin_id, candidate.position)
            else:
                await queries.reject(conn, plugin_id, candidate.position)
            action = "plugin.approve" if request.decision == "approved" else "plugin.reject"
            told = {"version": candidate.version, "decision": request.decision, "notes": request.notes}
            await package_queries.drop_unneeded(conn, plugin_id)
            await _note(conn, actor, action, plugin_id, **told)
            found = await plugin_queries.find_version(conn, plugin_id, candidate.version, user_id=actor.id)
            assert found is not None
            return found

        return await in_transaction(self.database, work)

    async def suspend(self, actor: Actor, plugin_id: str, notes: str) -> Plugin:
        """Take an approved plugin away from everybody, at once.

        Raises:
            ValidationFailedError: ``notes`` do not say why.
            NotFoundError: there is no such plugin.
            WrongStatusError: it is not approved.
        """
        if not notes.strip():
            raise ValidationFailedError([("notes", "must say why the plugin is suspended")])

        async def work(conn: Connection) -> Plugin:
            plugin = await held(conn, plugin_id)
            if plugin.status != "approved":
                raise WrongStatusError(f"Only an approved plugin can be suspended; this one is {plugin.status}.")
            await plugin_queries.set_status(conn, plugin_id, "suspended")
            told = {"version": plugin.version, "decision": "rejected", "notes": notes}
            await _note(conn, actor, "plugin.suspend", plugin_id, **told)
            return await _found(conn, actor, plugin_id)

        return await in_transaction(self.database, work)

    async def reinstate(self, actor: Actor, plugin_id: str) -> Plugin:
        """Let a suspended plugin go on as it was.

        Raises:
            NotFoundError: there is no such plugin.
            WrongStatusError: it is not suspended.
            NameTakenError: meanwhile another author's has a name that users would confuse with it.
        """

        async def work(conn: Connection) -> Plugin:
            await queries.lock_approvals(conn)
            plugin = await held(conn, plugin_id)
            if plugin.status != "suspended":
                raise WrongStatusError(f"Only a suspended plugin can be reinstated; this one is {plugin.status}.")
            await _require_distinct(conn, plugin, plugin)
            await plugin_queries.set_status(conn, plugin_id, "approved")
            told = {"version": plugin.version, "decision": "approved", "notes": ""}
            await _note(conn, actor, "plugin.reinstate", plugin_id, **told)
            return await _found(conn, actor, plugin_id)

        return await in_transaction(self.database, work)


async def _found(conn: Connection, actor: Actor, plugin_id: str) -> Plugin:
    plugin = await plugin_queries.find_plugin(conn, plugin_id, user_id=actor.id)
    assert plugin is not None
    return plugin


def _require_looked_at(candidate: Candidate, request: ReviewRequest) -> None:
    if request.version not in {None, candidate.version} or (
        request.package_checksum not in {None, candidate.package_checksum}
    ):
        raise ReviewOutdatedError


async def _require_distinct(conn: Connection, plugin: Held, shown: Candidate | Held) -> None:
    known = await plugin_queries.list_known(conn, author_id=plugin.author_id)
    if found := next(confusions(plugin.id, shown.name, known), None):
        raise NameTakenError(f"Its {found[0]} {found[1]}.")


async def _note(
    conn: Connection, actor: Actor, action: str, plugin_id: str, *, version: str, decision: str, notes: str
) -> None:
    await queries.insert_review(
        conn,
        review_id=new_id(),
        plugin_id=plugin_id,
        reviewer_id=actor.id,
        version=version,
        decision=decision,
        notes=notes,
    )
    await audit.append(conn, actor, action, plugin_id, {"version": version, "notes": notes})


REVIEWS = web.AppKey("reviews", Reviews)
