"""Sealing: what is made for a client, only that client can read (X25519 sealed boxes, as libsodium has them)."""

from collections.abc import Callable

KEY_BYTES = 32
OVERHEAD_BYTES = 48  # what a box is longer than its content: a public key of its own, and a tag


class Seal:
    """Seals to one public key. A box says nothing of who sealed it; nobody but the key's owner can open it."""

    __slots__ = ("_encrypt",)

    def __init__(self, public_key: bytes) -> None:
        """Takes the 32 bytes of an X25519 public key.

        Raises:
            ValueError: that is no such key, or one with which anybody could open the boxes.
        """
        from nacl.exceptions import CryptoError
        from nacl.public import PublicKey, SealedBox

        if len(public_key) != KEY_BYTES:
            msg = f"must be {KEY_BYTES} bytes"
            raise ValueError(msg)
        self._encrypt: Callable[[bytes], bytes] = SealedBox(PublicKey(public_key)).encrypt
        try:
            self._encrypt(b"")  # libsodium refuses a point of low order, but not before it is used
        except CryptoError:
            raise ValueError("must be a public key of X25519") from None

    def __call__(self, content: bytes) -> bytes:
        """The box around ``content``."""
        return self._encrypt(content)
