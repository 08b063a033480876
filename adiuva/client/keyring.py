"""The keys of one user."""

from base64 import b64decode, b64encode
from typing import Self

import orjson
from attrs import evolve, field, frozen
from nacl.utils import random

from adiuva.client.envelope import KEY_BYTES


@frozen(kw_only=True)
class Keyring:
    """The data keys by their ids, which of them seals what is new, and the secret of the private search."""

    keys: dict[int, bytes] = field(repr=False)
    current: int
    search_secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """A ring with one new key."""
        return cls(keys={1: random(KEY_BYTES)}, current=1, search_secret=random(KEY_BYTES))

    def rotated(self) -> Self:
        """With a new key that seals from now on; the old ones still open."""
        new = max(self.keys) + 1
        return evolve(self, keys={**self.keys, new: random(KEY_BYTES)}, current=new)

    def without_old_keys(self) -> Self:
        """With the current key only: what another one has sealed can never be opened again."""
        return evolve(self, keys={self.current: self.keys[self.current]})

    def to_bytes(self) -> bytes:
        """As it is wrapped."""
        keys = {str(key_id): b64encode(key).decode() for key_id, key in self.keys.items()}
        secret = b64encode(self.search_secret).decode()
        return orjson.dumps({"keys": keys, "current": self.current, "search_secret": secret})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """As ``to_bytes`` gave it."""
        read = orjson.loads(data)
        return cls(
            keys={int(key_id): b64decode(key) for key_id, key in read["keys"].items()},
            current=read["current"],
            search_secret=b64decode(read["search_secret"]),
        )
