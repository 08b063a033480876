"""The user's encrypted data: what is in it, and its keys."""

from typing import Self

from adiuva.client.backups import Backups
from adiuva.client.changes import Sync
from adiuva.client.connection import Connection
from adiuva.client.keyring import Keyring
from adiuva.client.keys import Keys
from adiuva.client.lock import Cost
from adiuva.client.records import Records
from adiuva.client.vectors import Vectors


class Vault:
    """One user's encrypted data at one server, unlocked; ``Client.unlock`` gives it."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """See ``open``."""
        self._keys = keys
        self.records = Records(connection, keys)
        self.backups = Backups(connection, keys)
        self.vectors = Vectors(connection, keys)
        self.sync = Sync(connection, keys)

    @classmethod
    async def open(cls, connection: Connection, passphrase: str, cost: Cost, newest_key: int) -> Self:
        """Unlock the keys of the user who is logged in; see ``Client.unlock``."""
        me = await connection.call("GET", "/auth/me")
        return cls(connection, await Keys.open(connection, me["id"], passphrase, cost, newest_key))

    @property
    def newest_key(self) -> int:
        """The number of the key that seals; an app that keeps it notices a server that gives out older keys."""
        return self._keys.ring.current

    async def change_passphrase(self, passphrase: str, *, cost: Cost | None = None) -> None:
        """Lock the keys with another passphrase: one small record is written, nothing is encrypted anew.

        Who knew the old passphrase, and had the key header, knows the keys: then ``rotate`` and ``reencrypt``, too.
        """
        await self._keys.relock(passphrase, cost or Cost())

    async def rotate(self) -> None:
        """Seal with a new key from now on; what older ones have sealed can still be opened."""
        await self._keys.change(Keyring.rotated)

    async def reencrypt(self, *tables: str) -> int:
        """Seal the records of these tables with the current key, as far as they are not; how many that were.

        Ends with no record left only where no device that still seals with an older key writes meanwhile: call it
        again, until it gives 0, before ``forget_old_keys``.
        """
        return sum([await self.records.reencrypt(table) for table in tables])

    async def forget_old_keys(self) -> None:
        """Throw all keys away but the current one: records, backups and vectors that they sealed are lost for good.

        Raises:
            KeyAddedError: another device has added a key, so that what was sealed anew has an old one: nothing is lost.
        """
        await self._keys.forget_old()
