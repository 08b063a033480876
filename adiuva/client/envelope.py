"""What is sealed: one piece of data, bound to its place by XChaCha20-Poly1305. The format stands in docs/client.md."""

import struct
from collections.abc import Mapping
from enum import IntEnum

from attrs import frozen
from nacl.encoding import RawEncoder
from nacl.exceptions import CryptoError
from nacl.hash import blake2b
from nacl.secret import Aead

from adiuva.client.errors import DecryptionError, UnknownKeyError

MAGIC = b"ADV\x01"
KEY_BYTES = 32
_HEADER = struct.Struct(">4sBI")
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """The byte that tells what follows the header; it chooses the subkey, too."""

    WHOLE = 1
    STREAM = 2


@frozen
class Header:
    """How an envelope begins: what it is, and the key that it is sealed with."""

    kind: Kind
    key_id: int

    def __bytes__(self) -> bytes:
        """The nine bytes of it."""
        return _HEADER.pack(MAGIC, self.kind, self.key_id)

    @classmethod
    def read(cls, data: bytes, *kinds: Kind) -> "Header":
        """The header that ``data`` begins with.

        Raises:
            DecryptionError: It is none of this version, or none of these kinds.
        """
        if len(data) < HEADER_BYTES:
            raise DecryptionError
        magic, kind, key_id = _HEADER.unpack_from(data)
        if magic != MAGIC or kind not in kinds:
            raise DecryptionError
        return cls(Kind(kind), key_id)


def place(*parts: str) -> bytes:
    """Where something belongs, as associated data: each part after its length, so that no two places are alike."""
    encoded = [part.encode() for part in parts]
    return b"".join(struct.pack(">I", len(part)) + part for part in encoded)


def subkey(key: bytes, purpose: str) -> bytes:
    """The key for one purpose, so that no key is used in two ways."""
    derived: bytes = blake2b(b"", digest_size=KEY_BYTES, key=key, person=purpose.encode(), encoder=RawEncoder)
    return derived


def key_for(header: Header, keys: Mapping[int, bytes]) -> bytes:
    """The subkey for an envelope with this header.

    Raises:
        UnknownKeyError: ``keys`` does not have it.
    """
    if header.key_id not in keys:
        raise UnknownKeyError
    return subkey(keys[header.key_id], f"adiuva {header.kind.name.lower()}")


def seal(data: bytes, where: bytes, keys: Mapping[int, bytes], key_id: int, *, nonce: bytes | None = None) -> bytes:
    """``data`` sealed for the place ``where``; ``nonce`` is random, but for test vectors."""
    header = Header(Kind.WHOLE, key_id)
    sealed = Aead(key_for(header, keys)).encrypt(data, bytes(header) + where, nonce)
    return bytes(header) + bytes(sealed)


def unseal(envelope: bytes, where: bytes, keys: Mapping[int, bytes]) -> bytes:
    """What ``envelope`` holds.

    Raises:
        DecryptionError: It was not sealed for the place ``where`` with one of ``keys``, or was changed.
    """
    header = Header.read(envelope, Kind.WHOLE)
    body = envelope[HEADER_BYTES:]
    if len(body) < Aead.NONCE_SIZE + Aead.MACBYTES:
        raise DecryptionError
    try:
        return Aead(key_for(header, keys)).decrypt(body, bytes(header) + where)
    except CryptoError as error:
        raise DecryptionError from error
