"""What makes a login, keeps it alive and ends it."""

from datetime import datetime, timedelta
from uuid import UUID

from aiohttp import web

from adiuva.auth import queries
from adiuva.auth.lookups import LoginLookups
from adiuva.auth.models import AuthTokens, Rotation, Ticket, normal_email
from adiuva.auth.passwords import PasswordHasher
from adiuva.auth.tokens import AccessTokens, new_salt, new_token, successor, token_hash
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import EmailTakenError, InvalidCredentialsError, InvalidTokenError, TokenReusedError
from adiuva.settings import Settings
from adiuva.web.access import NO_PLUGINS, Principal

TICKET_SECONDS = 30


class Auth:
    """Accounts and sessions over a database; close it to end its threads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._lookups = LoginLookups(database)
        self._default_tier = settings.default_tier
        self._access_lifetime = timedelta(minutes=settings.jwt_access_token_expire_minutes)
        self._refresh_lifetime = timedelta(days=settings.jwt_refresh_token_expire_days)
        self._grace = timedelta(seconds=settings.refresh_grace_seconds)
        self._passwords = PasswordHasher(settings.bcrypt_rounds)
        self._access = AccessTokens(
            secret=settings.jwt_secret, algorithm=settings.jwt_algorithm, lifetime=self._access_lifetime
        )

    def close(self) -> None:
        """End the threads that hash passwords."""
        self._passwords.close()

    async def register(self, email: str, password: str, user_agent: str | None) -> AuthTokens:
        """Make an account and its first login.

        Raises:
            EmailTakenError: the address has an account, in whatever case it is written.
        """
        address = normal_email(email) or email
        password_hash = await self._passwords.hash(password)
        user_id, login_id, refresh_token = new_id(), new_id(), new_token()
        async with self._database.acquire() as conn:
            issued_at = await queries.insert_user(
                conn,
                user_id=user_id,
                email=address,
                password_hash=password_hash,
                login_id=login_id,
                user_agent=user_agent,
                token_hash=token_hash(refresh_token),
                lifetime=self._refresh_lifetime,
            )
        if issued_at is None:
            raise EmailTakenError
        return self._tokens(user_id, address, login_id, refresh_token, issued_at)

    async def login(self, email: str, password: str, user_agent: str | None) -> AuthTokens:
        """Make a login; an unknown address takes the same time as a wrong password.

        Raises:
            InvalidCredentialsError: one of both is wrong.
        """
        async with self._database.acquire() as conn:
            found = await queries.find_credentials(conn, normal_email(email) or email)
        matches = await self._passwords.verify(password, found.password_hash if found else None)
        if found is None or not matches:
            raise InvalidCredentialsError
        login_id, refresh_token = new_id(), new_token()
        async with self._database.acquire() as conn:
            issued_at = await queries.insert_login(
                conn,
                credentials=found,
                login_id=login_id,
                user_agent=user_agent,
                token_hash=token_hash(refresh_token),
                lifetime=self._refresh_lifetime,
            )
        if issued_at is None:
            raise InvalidCredentialsError
        return self._tokens(found.user_id, found.email, login_id, refresh_token, issued_at)

    async def refresh(self, refresh_token: str) -> AuthTokens:
        """Exchange a refresh token for its successor.

        The last one spent gives the same answer again while the grace lasts, since the first may have been lost.

        Raises:
            TokenReusedError: it was spent before; its login has been revoked.
            InvalidTokenError: it is unknown, has expired, or its login was revoked.
        """
        spending, salt = token_hash(refresh_token), new_salt()
        async with self._database.acquire() as conn:
            rotation = await queries.rotate(
                conn,
                token_hash=spending,
                salt=salt,
                successor_hash=token_hash(successor(refresh_token, salt)),
                lifetime=self._refresh_lifetime,
            )
            if rotation is not None:
                return self._rotated(refresh_token, rotation)
            spent = await queries.find_spent(conn, token_hash=spending, grace=self._grace)
            if spent is None:
                raise InvalidTokenError
            if not spent.replayable:
                await queries.revoke_login_of_token(conn, spending)
                raise TokenReusedError
            return self._rotated(refresh_token, spent.rotation)

    async def logout(self, refresh_token: str) -> None:
        """Revoke the login of a refresh token; one that is unknown has no login left to revoke."""
        async with self._database.acquire() as conn:
            await queries.revoke_login_of_token(conn, token_hash(refresh_token))

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """Change the password, and revoke all other logins of the user.

        Raises:
            InvalidCredentialsError: ``current`` is wrong.
        """
        async with self._database.acquire() as conn:
            old_hash = await queries.find_password_hash(conn, principal.user_id)
        if not await self._passwords.verify(current, old_hash) or old_hash is None:
            raise InvalidCredentialsError
        new_hash = await self._passwords.hash(new)
        async with self._database.acquire() as conn, conn.transaction():
            if not await queries.replace_password_hash(conn, user_id=principal.user_id, old=old_hash, new=new_hash):
                raise InvalidCredentialsError
            await queries.revoke_other_logins(conn, user_id=principal.user_id, login_id=principal.login_id)

    async def confirm(self, principal: Principal, password: str) -> None:
        """See that whoever is logged in knows the password.

        Raises:
            InvalidCredentialsError: it is wrong.
        """
        async with self._database.acquire() as conn:
            password_hash = await queries.find_password_hash(conn, principal.user_id)
        if not await self._passwords.verify(password, password_hash):
            raise InvalidCredentialsError

    async def authenticate(self, token: str) -> Principal:
        """The principal of an access token.

        Raises:
            InvalidTokenError: it is invalid, has expired, or its login was revoked.
        """
        claims = self._access.verify(token)
        principal = await self._principal(claims.login_id, claims.expires_at)
        if principal.user_id != claims.user_id:
            raise InvalidTokenError
        return principal

    async def issue_ticket(self, principal: Principal) -> Ticket:
        """A ticket that opens one WebSocket within the next seconds, for as long as the access token would."""
        ticket = new_token()
        async with self._database.acquire() as conn:
            await queries.insert_ticket(
                conn,
                ticket_hash=token_hash(ticket),
                login_id=principal.login_id,
                session_expires_at=principal.expires_at,
                lifetime=timedelta(seconds=TICKET_SECONDS),
            )
        return Ticket(ticket=ticket, expires_in=TICKET_SECONDS)

    async def redeem_ticket(self, ticket: str) -> Principal:
        """The principal of a ticket, which is used up.

        Raises:
            InvalidTokenError: it is unknown, used or expired, or its login was revoked.
        """
        async with self._database.acquire() as conn:
            found = await queries.redeem_ticket(conn, token_hash(ticket))
        if found is None:
            raise InvalidTokenError
        return await self._principal(*found)

    async def refresh_principal(self, login_id: UUID, expires_at: datetime) -> Principal:
        """The principal of a login as the database has it now: what an open socket asks before each request.

        Raises:
            InvalidTokenError: the login was revoked.
        """
        return await self._principal(login_id, expires_at)

    async def revoked_logins(self, login_ids: list[UUID]) -> set[UUID]:
        """Those of ``login_ids`` that were revoked, or whose user is gone."""
        async with self._database.acquire() as conn:
            return set(login_ids) - await queries.find_live_logins(conn, login_ids)

    async def _principal(self, login_id: UUID, expires_at: datetime) -> Principal:
        row = await self._lookups.find(login_id)
        if row is None:
            raise InvalidTokenError
        return Principal(
            user_id=row["user_id"],
            email=row["email"],
            tier=row["tier"] or self._default_tier,
            is_admin=row["is_admin"],
            created_at=row["created_at"],
            login_id=login_id,
            expires_at=expires_at,
            plugins=dict(map(_granted, row["plugins"])) if row["plugins"] else NO_PLUGINS,
        )

    def _rotated(self, refresh_token: str, rotation: Rotation) -> AuthTokens:
        following = successor(refresh_token, rotation.successor_salt)
        return self._tokens(rotation.user_id, rotation.email, rotation.login_id, following, rotation.rotated_at)

    def _tokens(self, user_id: UUID, email: str, login_id: UUID, refresh_token: str, issued_at: datetime) -> AuthTokens:
        access_token = self._access.sign(
            user_id=user_id, email=email, login_id=login_id, refresh_token=refresh_token, issued_at=issued_at
        )
        return AuthTokens(
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in=int(self._access_lifetime.total_seconds()),
        )


def _granted(text: str) -> tuple[str, frozenset[str]]:
    plugin_id, *permissions = text.split()
    return plugin_id, frozenset(permissions)


AUTH = web.AppKey("auth", Auth)
