"""A client of the server, with end-to-end encryption; the terminal and the demo use it. See docs/client.md."""

from adiuva.client.client import Client
from adiuva.client.errors import (
    CannotConnectError,
    DecryptionError,
    PassphraseIsPasswordError,
    RolledBackError,
    ServerError,
    UnknownKeyError,
    UnsafeKeyHeaderError,
    WrongPassphraseError,
)
from adiuva.client.lock import Cost
from adiuva.client.vault import Vault

__all__ = [
    "CannotConnectError",
    "Client",
    "Cost",
    "DecryptionError",
    "PassphraseIsPasswordError",
    "RolledBackError",
    "ServerError",
    "UnknownKeyError",
    "UnsafeKeyHeaderError",
    "Vault",
    "WrongPassphraseError",
]
