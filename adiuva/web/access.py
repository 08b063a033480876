"""Who is asking: the principal of a request, and what finds it."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, Protocol
from uuid import UUID

from aiohttp import hdrs, web
from attrs import frozen

from adiuva.errors import InvalidTokenError, UnauthorizedError

Access = Literal["private", "public", "admin"]

NO_PLUGINS: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})

_MAX_TOKEN_LENGTH = 4096


@frozen(kw_only=True)
class Principal:
    """The user behind a request, as the database has it now; never older than the request."""

    user_id: UUID
    email: str
    tier: str  # the one in effect: the subscription's, else the default
    is_admin: bool
    created_at: datetime
    login_id: UUID
    expires_at: datetime  # of the access token: a socket that it opened closes then
    # The approved plugins that the user has installed, each with the permissions that are approved and accepted.
    plugins: Mapping[str, frozenset[str]] = NO_PLUGINS


class Authenticator(Protocol):
    """Turns an access token into its principal."""

    async def __call__(self, token: str) -> Principal:
        """The principal of ``token``.

        Raises:
            UnauthorizedError: the token is invalid, has expired, or its login has been revoked.
        """
        ...


PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)
AUTHENTICATOR: web.AppKey[Authenticator] = web.AppKey("authenticator")


def bearer_token(request: web.Request) -> str:
    """The token of the one ``Authorization: Bearer`` header.

    Raises:
        UnauthorizedError: there is no such header, more than one, or another scheme.
    """
    values = request.headers.getall(hdrs.AUTHORIZATION, ())
    if len(values) != 1:
        raise UnauthorizedError
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthorizedError
    # A header is decoded leniently and may hold surrogates, which nothing behind this line could encode again.
    if len(token) > _MAX_TOKEN_LENGTH or not token.isascii():
        raise InvalidTokenError
    return token.strip()
