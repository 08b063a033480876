"""Streams, sealed chunk by chunk with libsodium's secretstream: any size in little memory.

A chunk that was changed, left out, repeated or moved is noticed at that chunk, and a cut at the end.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from adiuva.client.envelope import HEADER_BYTES, Header, Kind, key_for
from adiuva.client.errors import DecryptionError

CHUNK_BYTES = 65_536  # of plaintext; part of the format
_SEALED_BYTES = CHUNK_BYTES + bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_START_BYTES = HEADER_BYTES + bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL


class StreamSealer:
    """Takes plaintext in pieces of any size, and gives the envelope as it grows."""

    def __init__(self, where: bytes, keys: Mapping[int, bytes], key_id: int) -> None:
        """For the place ``where``, with the key ``key_id`` of ``keys``."""
        header = Header(Kind.STREAM, key_id)
        self._context = bytes(header) + where
        self._state = bindings.crypto_secretstream_xchacha20poly1305_state()
        key = key_for(header, keys)
        self._ready = bytes(header) + bindings.crypto_secretstream_xchacha20poly1305_init_push(self._state, key)
        self._waiting = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take some more; give what is sealed so far."""
        self._waiting += data
        sealed = [self._push(chunk, _MESSAGE) for chunk in _full(self._waiting, CHUNK_BYTES)]
        return self._out(sealed)

    def finish(self) -> bytes:
        """Give the rest, with the mark of the end."""
        return self._out([self._push(bytes(self._waiting), _FINAL)])

    def _out(self, sealed: list[bytes]) -> bytes:
        ready, self._ready = self._ready, b""
        return b"".join([ready, *sealed])

    def _push(self, chunk: bytes, tag: int) -> bytes:
        return bindings.crypto_secretstream_xchacha20poly1305_push(self._state, chunk, self._context, tag)


class StreamOpener:
    """Takes an envelope in pieces of any size, and gives its plaintext; whole only once ``finish`` has passed."""

    def __init__(self, where: bytes, keys: Mapping[int, bytes]) -> None:
        """For an envelope that was sealed for the place ``where`` with one of ``keys``."""
        self._where = where
        self._keys = keys
        self._context = b""
        self._state: Any = None
        self._waiting = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take some more; give what it is as plaintext.

        Raises:
            DecryptionError: It was not sealed for this place with one of these keys, or was changed.
        """
        self._waiting += data
        if self._state is None and not self._start():
            return b""
        return b"".join([self._pull(chunk, _MESSAGE) for chunk in _full(self._waiting, _SEALED_BYTES)])

    def finish(self) -> bytes:
        """Give the rest.

        Raises:
            DecryptionError: As in ``feed``, or the end is missing.
        """
        if self._state is None:
            raise DecryptionError
        return self._pull(bytes(self._waiting), _FINAL)

    def _start(self) -> bool:
        if len(self._waiting) < _START_BYTES:
            return False
        start = bytes(self._waiting[:_START_BYTES])
        del self._waiting[:_START_BYTES]
        header = Header.read(start, Kind.STREAM)
        self._context = bytes(header) + self._where
        self._state = bindings.crypto_secretstream_xchacha20poly1305_state()
        key = key_for(header, self._keys)
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(self._state, start[HEADER_BYTES:], key)
        return True

    def _pull(self, chunk: bytes, expected: int) -> bytes:
        try:
            data, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(self._state, chunk, self._context)
        except (CryptoError, ValueError) as error:
            raise DecryptionError from error
        if tag != expected:
            raise DecryptionError
        return data


def _full(waiting: bytearray, size: int) -> Iterator[bytes]:
    """The chunks that are full, taken from ``waiting``; something always stays, since the last chunk is marked."""
    taken = 0
    while len(waiting) - taken > size:
        yield bytes(waiting[taken : taken + size])
        taken += size
    del waiting[:taken]
