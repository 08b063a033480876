"""Requests that agents and plugins make for a user, who may name the address: they reach the internet, and not us.

A name is resolved, a redirect followed, a literal address taken; whatever it was, it ends as an address to connect a
socket to, and it is that address which is looked at. So there is no moment between the check and the use.
"""

import errno
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import aiohttp

from adiuva.variables import Network

TOTAL_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0
CONNECTIONS: Final = 256

_NAT64: Final = ip_network("64:ff9b::/96")
# Ways to an IPv4 address in an IPv6 one, and what a cloud offers its machines behind an address that looks public.
_NEVER: Final = tuple(
    ip_network(network) for network in ("2002::/16", "2001::/23", "64:ff9b:1::/48", "168.63.129.16/32", "192.0.0.0/24")
)


class AddressRefusedError(PermissionError):
    """This server does not connect to that address for anybody."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "this address may not be called from here")


def open_session(allowed: Collection[Network] = ()) -> aiohttp.ClientSession:
    """A session for code that works for users: public addresses only, and those in ``allowed``; no cookies are kept.

    A request to any other address ends with ``aiohttp.ClientConnectorError``; its ``os_error`` is a `PermissionError`.
    """

    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not may_call(address[0], allowed):
            raise AddressRefusedError
        return socket.socket(family=family, type=kind, proto=protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=make_socket, limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),  # one user's must not go along with another's request
        timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=CONNECT_SECONDS),
    )


def may_call(host: str, allowed: Collection[Network] = ()) -> bool:
    """Whether the IP address ``host`` is public, or in one of ``allowed``."""
    address = _plain(ip_address(host.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not (isinstance(address, IPv6Address) and address.is_site_local)
        and not any(address in network for network in _NEVER)
    )


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside, where there is one that the packets go to."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
