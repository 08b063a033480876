"""What the auth calls take and give, and the rows behind them."""

import re
import unicodedata
from datetime import datetime
from typing import Literal
from uuid import UUID

import attrs
from attrs import field, frozen

from adiuva.auth.passwords import MAX_BYTES
from adiuva.sdk.convert import MismatchError
from adiuva.web.wire import Constraint, Described, Length, MaxBytes

MAX_EMAIL_LENGTH = 254
MIN_PASSWORD_LENGTH = 8
_MAX_TOKEN_LENGTH = 512

# Dots only between other characters, no quotes; the domain has two labels or more, which may be of any script.
_EMAIL = re.compile(
    r"""(?P<local> [^\s@"(),:;<>\[\]\\.]+ (?: \.[^\s@"(),:;<>\[\]\\.]+ )* )
        @ (?P<domain> [^\W_] (?: [\w-]{0,61} [^\W_] )? (?: \. [^\W_] (?: [\w-]{0,61} [^\W_] )? )+ )""",
    re.VERBOSE,
)
_MAX_LOCAL_LENGTH = 64


def normal_email(text: str) -> str | None:
    """The address in ``text``, with its domain in lower case; None if it is none. Nobody is asked whether it exists."""
    if len(text) > MAX_EMAIL_LENGTH:  # normalizing takes time in the square of the length
        return None
    address = unicodedata.normalize("NFC", text)
    match = _EMAIL.fullmatch(address) if len(address.encode()) <= MAX_EMAIL_LENGTH and address.isprintable() else None
    if match is None or len(match["local"]) > _MAX_LOCAL_LENGTH:
        return None
    return f"{match['local']}@{match['domain'].lower()}"


def _is_email(_: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if normal_email(value) is None:
        raise MismatchError("must be an e-mail address", field=attribute.name)


_EMAIL_LENGTH = Length(max=MAX_EMAIL_LENGTH)
_NEW_EMAIL: list[Constraint] = [_EMAIL_LENGTH, Described(_is_email, {"format": "email"})]
_NEW_PASSWORD: list[Constraint] = [Length(MIN_PASSWORD_LENGTH), MaxBytes(MAX_BYTES)]


@frozen(kw_only=True)
class RegisterRequest:
    """A new account."""

    email: str = field(validator=_NEW_EMAIL)
    password: str = field(validator=_NEW_PASSWORD, repr=False)


@frozen(kw_only=True)
class LoginRequest:
    """An account that may exist: whatever cannot be one is an unknown one."""

    email: str = field(validator=_EMAIL_LENGTH)
    password: str = field(validator=MaxBytes(MAX_BYTES), repr=False)


@frozen(kw_only=True)
class RefreshRequest:
    """A refresh token, to be spent or, at logout, revoked."""

    refresh_token: str = field(validator=Length(1, _MAX_TOKEN_LENGTH), repr=False)


@frozen(kw_only=True)
class PasswordRequest:
    """A change of password."""

    current_password: str = field(validator=MaxBytes(MAX_BYTES), repr=False)
    new_password: str = field(validator=_NEW_PASSWORD, repr=False)


@frozen(kw_only=True)
class AuthTokens:
    """What a client needs to make calls, and to go on when the access token expires."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme, not a secret
    expires_in: int  # seconds


@frozen(kw_only=True)
class Me:
    """The user as the user sees it."""

    id: UUID
    email: str
    tier: str
    is_admin: bool
    created_at: datetime


@frozen(kw_only=True)
class Session:
    """One of a user's logins."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    user_agent: str | None
    current: bool  # the one that asks


@frozen(kw_only=True)
class Sessions:
    """A user's logins, the last used first."""

    items: list[Session]


@frozen(kw_only=True)
class Ticket:
    """Opens one WebSocket, once."""

    ticket: str = field(repr=False)
    expires_in: int  # seconds


@frozen(kw_only=True)
class Credentials:
    """What a login is checked against."""

    user_id: UUID
    email: str
    password_hash: str = field(repr=False)


@frozen(kw_only=True)
class Rotation:
    """A refresh token that has been exchanged for its successor."""

    user_id: UUID
    email: str
    login_id: UUID
    successor_salt: bytes = field(repr=False)
    rotated_at: datetime


@frozen(kw_only=True)
class SpentToken:
    """A refresh token that could not be spent again, and whether its successor may still be given out."""

    rotation: Rotation
    replayable: bool


@frozen(kw_only=True)
class User:
    """A user as an operator sees it; ``tier`` is None without a subscription in force."""

    id: UUID
    email: str
    tier: str | None
    is_admin: bool
    created_at: datetime
