"""Answers of GitHub, kept for conditional requests, and unreadable to all but whoever has the token.

The server keeps no user content in the clear, so an answer is sealed with a key that is made of the user's own token.
The token comes with each request and is not kept; between requests nobody can open what is here.
"""

import json
import secrets
import time
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

if TYPE_CHECKING:
    from nacl.secret import SecretBox

MAX_ENTRY_BYTES: Final = 512 * 1024
MAX_BYTES: Final = 16 * 1024 * 1024
LIFETIME_SECONDS: Final = 3600.0
MAX_PAUSES: Final = 1000


@frozen(kw_only=True)
class Kept:
    """An answer as it was: its body, and where the next page is, if there is one."""

    etag: str
    body: Any = field(repr=False)
    following: str | None = field(repr=False)


@frozen
class _Entry:
    sealed: bytes = field(repr=False)
    expires_at: float


@define
class Cache:
    """Of one process; the least recently used goes first."""

    _salt: bytes = field(factory=lambda: secrets.token_bytes(16), init=False, repr=False)
    _entries: OrderedDict[bytes, _Entry] = field(factory=OrderedDict, init=False, repr=False)
    _bytes: int = field(default=0, init=False)
    _pauses: OrderedDict[bytes, float] = field(factory=OrderedDict, init=False, repr=False)

    def get(self, token: str, url: str) -> Kept | None:
        """What GitHub answered to this token at this URL, if it is still there."""
        key = self._digest(b"entry", token, url)
        entry = self._entries.get(key)
        if entry is None or entry.expires_at < time.monotonic():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return Kept(**json.loads(self._box(token).decrypt(entry.sealed)))

    def put(self, token: str, url: str, kept: Kept) -> None:
        """Keep an answer, unless it is large."""
        key = self._digest(b"entry", token, url)
        self._remove(key)
        plain = json.dumps({"etag": kept.etag, "body": kept.body, "following": kept.following}).encode()
        if len(plain) > MAX_ENTRY_BYTES:
            return
        entry = _Entry(self._box(token).encrypt(plain), time.monotonic() + LIFETIME_SECONDS)
        self._entries[key] = entry
        self._bytes += len(entry.sealed)
        while self._bytes > MAX_BYTES:
            self._remove(next(iter(self._entries)))

    def pause(self, token: str, base_url: str, until: float) -> None:
        """Note that GitHub wants nothing more of this token until then, in Unix seconds."""
        self._pauses[self._digest(b"pause", token, base_url)] = until
        while len(self._pauses) > MAX_PAUSES:
            self._pauses.popitem(last=False)

    def paused_until(self, token: str, base_url: str) -> float:
        """Until when to leave GitHub alone; 0 if it may be asked."""
        key = self._digest(b"pause", token, base_url)
        until = self._pauses.get(key, 0.0)
        if until <= time.time():
            self._pauses.pop(key, None)
            return 0.0
        return until

    def _remove(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= len(entry.sealed)

    def _box(self, token: str) -> "SecretBox":
        from nacl.secret import SecretBox  # not before it is needed: the server is to start fast

        return SecretBox(self._digest(b"seal", token, ""))

    def _digest(self, purpose: bytes, token: str, text: str) -> bytes:
        secret = blake2b(token.encode(), digest_size=32, salt=self._salt, person=purpose).digest()
        return blake2b(text.encode(), digest_size=32, key=secret).digest()
