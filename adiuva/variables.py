"""Readers of settings: each turns a variable's text into a value, or says in a ``ValueError`` what is allowed."""

import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import field

Network = IPv4Network | IPv6Network
Reader = Callable[[str], Any]


def text(value: str) -> str:
    return value


def whole(low: int, high: int) -> Reader:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return read


def seconds(low: float, high: float) -> Reader:
    def read(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return float(value)

    return read


def choice(*allowed: str, fold: Callable[[str], str] = str.lower) -> Reader:
    def read(value: str) -> str:
        if fold(value) not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return fold(value)

    return read


def url(*schemes: str) -> Reader:
    def read(value: str) -> str:
        with suppress(ValueError):
            parts = urlsplit(value)
            # A database may be a socket, without a host; .port raises where it is no number.
            if parts.scheme in schemes and (parts.hostname or parts.scheme.startswith("postgres")) and parts.port != 0:
                return value
        raise ValueError(f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")

    return read


def names(value: str) -> tuple[str, ...]:
    if not value.startswith("["):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        items = orjson.loads(value)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a list separated by commas, or a JSON array of strings")
    return tuple(items)


def origins(value: str) -> tuple[str, ...]:
    found = tuple(origin.rstrip("/") for origin in names(value))
    for origin in found:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", origin):
            raise ValueError(
                f"{origin!r} is no origin; each must be scheme://host or scheme://host:port, without a path"
            )
    return found


def networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(name, strict=False) for name in names(value))
    except ValueError as error:
        raise ValueError("must be addresses or networks, such as 10.0.0.0/8,::1") from error


def limits(**defaults: int) -> Reader:
    """``free=20,pro=60``; what is not named keeps its default."""

    def read(value: str) -> dict[str, int]:
        found = dict(defaults)
        for pair in names(value):
            name, _, number = pair.partition("=")
            if name.strip() not in defaults or not re.fullmatch(r"[1-9][0-9]{0,9}", number.strip()):
                example = ",".join(f"{name}={limit}" for name, limit in defaults.items())
                raise ValueError(f"{pair!r} is not understood; must be like {example} (calls a minute, from 1)")
            found[name.strip()] = int(number)
        return found

    return read


def setting(read: Reader, *, secret: bool = False, **kwargs: Any) -> Any:
    """An attrs field with its reader; a secret shows in no ``repr`` and no message."""
    return field(repr=not secret, metadata={"read": read, "secret": secret}, **kwargs)


def optional(read: Reader = text, *, secret: bool = False) -> Any:
    return setting(read, secret=secret, default="")
