"""What a key ring is locked with: Argon2id makes a key from the passphrase, which wraps the ring.

The parameters and the wrapped ring are the *key header*, kept at the server as a record. So another passphrase, or one
more key on the ring, changes that record only.
"""

import hmac
from base64 import b64decode, b64encode
from typing import Any, Self

import orjson
from attrs import field, frozen
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import Aead
from nacl.utils import random

from adiuva.client.envelope import KEY_BYTES, place
from adiuva.client.errors import DecryptionError, UnsafeKeyHeaderError, WrongPassphraseError
from adiuva.client.keyring import Keyring

HEADER_VERSION = 1
KDF = "argon2id"


@frozen(kw_only=True)
class Cost:
    """What one guess at a passphrase takes; the default is libsodium's *moderate*: about 0.7 s and 256 MiB."""

    passes: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE


# The header comes from a server that is not trusted: no lock weaker than OWASP's least, none that eats the machine.
LEAST = Cost(passes=2, memory_bytes=19 * 2**20)
MOST = Cost(passes=16, memory_bytes=2**30)


@frozen(kw_only=True)
class Lock:
    """A passphrase, turned into a key; making one takes what its ``cost`` says."""

    salt: bytes
    cost: Cost
    key: bytes = field(repr=False)
    # Tells which passphrase it was. Without it a server could make one header that several passphrases open, and learn
    # from the client's success which of them was typed.
    commitment: bytes = field(repr=False)

    @classmethod
    def new(cls, passphrase: str, cost: Cost) -> Self:
        """A lock with a salt of its own."""
        return cls._derive(passphrase, random(argon2id.SALTBYTES), cost)

    @classmethod
    def of(cls, header: bytes, passphrase: str) -> Self:
        """The lock of a key header.

        Raises:
            WrongPassphraseError: It is locked with another passphrase.
            UnsafeKeyHeaderError: Its cost is out of bounds.
            DecryptionError: It is no key header.
        """
        read = _Header.read(header)
        lock = cls._derive(passphrase, read.salt, read.cost)
        lock.check(header)
        return lock

    def wrap(self, ring: Keyring, user_id: str) -> bytes:
        """The key header of ``ring``."""
        header = {
            "version": HEADER_VERSION,
            "kdf": {
                "name": KDF,
                "salt": b64encode(self.salt).decode(),
                "passes": self.cost.passes,
                "memory_bytes": self.cost.memory_bytes,
            },
            "commitment": b64encode(self.commitment).decode(),
            "keyring": b64encode(Aead(self.key).encrypt(ring.to_bytes(), place("keyring", user_id))).decode(),
        }
        return orjson.dumps(header)

    def unwrap(self, header: bytes, user_id: str) -> Keyring:
        """The ring in a key header; raises as ``of`` does, and takes no time."""
        self.check(header)
        wrapped = _Header.read(header).keyring
        try:
            return Keyring.from_bytes(Aead(self.key).decrypt(wrapped, place("keyring", user_id)))
        except (CryptoError, ValueError) as error:
            raise DecryptionError from error

    @classmethod
    def _derive(cls, passphrase: str, salt: bytes, cost: Cost) -> Self:
        derived = argon2id.kdf(2 * KEY_BYTES, passphrase.encode(), salt, cost.passes, cost.memory_bytes)
        return cls(salt=salt, cost=cost, key=derived[:KEY_BYTES], commitment=derived[KEY_BYTES:])

    def check(self, header: bytes) -> None:
        """Whether it is this lock that a key header has; raises as ``of`` does."""
        if not hmac.compare_digest(self.commitment, _Header.read(header).commitment):
            raise WrongPassphraseError


@frozen(kw_only=True)
class _Header:
    salt: bytes
    cost: Cost
    commitment: bytes
    keyring: bytes

    @classmethod
    def read(cls, data: bytes) -> Self:
        try:
            content: dict[str, Any] = orjson.loads(data)
            kdf = content["kdf"]
            known = content["version"] == HEADER_VERSION and kdf["name"] == KDF
            cost = Cost(passes=int(kdf["passes"]), memory_bytes=int(kdf["memory_bytes"]))
            salt, commitment, keyring = map(b64decode, (kdf["salt"], content["commitment"], content["keyring"]))
        except (ValueError, TypeError, KeyError) as error:
            raise DecryptionError from error
        if not known or len(salt) != argon2id.SALTBYTES:
            raise DecryptionError
        if not (
            LEAST.passes <= cost.passes <= MOST.passes and LEAST.memory_bytes <= cost.memory_bytes <= MOST.memory_bytes
        ):
            raise UnsafeKeyHeaderError
        return cls(salt=salt, cost=cost, commitment=commitment, keyring=keyring)
