"""Access tokens, which are signed; refresh tokens and tickets, which are random and known here only by their hash."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from attrs import frozen

from adiuva.clock import now
from adiuva.errors import InvalidTokenError

_CLAIMS = ("sub", "email", "iat", "exp", "jti", "type")
_REMEMBERED = 4096  # tokens whose signature has been checked; each takes about 1 KiB


@frozen
class AccessClaims:
    """What a valid access token says."""

    user_id: UUID
    login_id: UUID
    expires_at: datetime


class AccessTokens:
    """Signs and verifies access tokens (JWT). The database is not asked: a valid token may be of a revoked login."""

    def __init__(self, *, secret: str, algorithm: str, lifetime: timedelta) -> None:
        if not secret:
            raise ValueError("no secret to sign by: see Settings.with_secret")
        self._secret = secret
        self._algorithm = algorithm
        self._lifetime = lifetime
        # A client sends the same token again and again; its signature is checked once, its expiry every time.
        self._claims = lru_cache(_REMEMBERED)(self._decode)

    def sign(self, *, user_id: UUID, email: str, login_id: UUID, refresh_token: str, issued_at: datetime) -> str:
        """The access token that goes with ``refresh_token``: the same one whenever it is made."""
        issued = int(issued_at.timestamp())
        unique = hmac.digest(refresh_token.encode(), b"jti", hashlib.sha256)[:16].hex()
        claims = {
            "sub": str(user_id),
            "email": email,
            "iat": issued,
            "exp": issued + int(self._lifetime.total_seconds()),
            "jti": f"{login_id}.{unique}",
            "type": "access",
        }
        return jwt.encode(claims, self._secret, self._algorithm)

    def verify(self, token: str) -> AccessClaims:
        """What ``token`` says.

        Raises:
            InvalidTokenError: it is not one of ours, or has expired.
        """
        claims = self._claims(token)
        if claims.expires_at <= now():
            raise InvalidTokenError
        return claims

    def _decode(self, token: str) -> AccessClaims:
        # The database's clock says when a token was issued, and may be ahead of ours.
        options: Any = {"require": _CLAIMS, "verify_iat": False}
        try:
            claims = jwt.decode(token, self._secret, algorithms=[self._algorithm], options=options)
            if claims["type"] != "access":
                raise InvalidTokenError
            login_id, _, _ = claims["jti"].partition(".")
            return AccessClaims(UUID(claims["sub"]), UUID(login_id), datetime.fromtimestamp(int(claims["exp"]), UTC))
        except (jwt.InvalidTokenError, ValueError, OverflowError, OSError):  # the last two: a time out of range
            raise InvalidTokenError from None


def new_token() -> str:
    """An opaque token of 256 random bits."""
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    """What makes a token's successor its own."""
    return secrets.token_bytes(32)


def successor(token: str, salt: bytes) -> str:
    """The refresh token that comes after ``token``.

    It can be made again by whoever has both ``token`` and ``salt``; the database has the salt alone.
    """
    return urlsafe_b64encode(hmac.digest(token.encode(), salt, hashlib.sha256)).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    """What is stored of an opaque token. It is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
