"""Addresses of other services, as users give them in a plugin's settings."""

from typing import Final
from urllib.parse import urlsplit

from adiuva.sdk.errors import ToolError

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_LENGTH: Final = 2048


def https_url(value: object, *, name: str) -> str:
    """The URL ``value``, without a slash at its end: with https, a host, and no user, query or fragment.

    Plain http will do for this very machine (a double in a test), which the server calls only where its operator allows
    it. Whether the address may be called at all is decided by ``ctx.http``, when it connects.

    Args:
        value: What a user gave, of any type.
        name: The setting, for the message.

    Raises:
        ToolError: it is no such URL; the message tells what is wrong, and does not repeat the value.
    """
    refusal = ToolError(
        f"The setting {name} has to be an address like https://example.com. Tell the user to correct it."
    )
    if not isinstance(value, str) or len(value) > _MAX_LENGTH or not value.isascii() or not value.isprintable():
        raise refusal
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    odd = {" ", "\\", "?", "#", "@"} & set(value)
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not host or odd or not secure:
        raise refusal
    return value.rstrip("/")
