"""An upload, and whom it is counted for."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal, Self
from uuid import UUID

from attrs import define, field, frozen

from adiuva.clock import new_id

Kind = Literal["records", "backups", "packages"]
KINDS: Final[tuple[Kind, ...]] = ("records", "backups", "packages")


@define(kw_only=True)
class Traffic:
    """What clients have sent and got since the start of this process, in bytes of blobs; and what was refused."""

    bytes_in: int = 0
    bytes_out: int = 0
    over_quota: Counter[Kind] = field(factory=Counter)


@frozen(kw_only=True)
class Account:
    """One user's share of one kind of storage."""

    user_id: UUID
    kind: Kind
    quota: int | None  # bytes; None is "without a limit"


def nothing_follows() -> None:
    """What is in memory has come whole."""


@frozen(kw_only=True)
class Body:
    """Bytes that a client sends, and what it said of them before."""

    checksum: str
    length: int | None  # None: only the end will tell
    chunks: AsyncIterator[bytes]
    expect_end: Callable[[], None] = nothing_follows
    """Raises ``PayloadTooLargeError`` if more has come than was announced."""


@frozen(kw_only=True)
class Wanted:
    """Room for one blob."""

    name: str  # its key without its owner and its revision
    length: int | None  # None: only the end will tell
    replaces: int = 0  # bytes of what it takes the place of, which need no reservation


@define(kw_only=True)
class Upload:
    """Bytes under way: in the store under ``key`` as soon as all have come, in no row before the commit."""

    id: UUID
    account: Account
    key: str
    reserved: int
    replaces: int
    blocks: bytes | None = None  # checksums of its blocks (`adiuva.blobs.blocks`), once all have come
    committed: bool = False

    @classmethod
    def of(cls, account: Account, wanted: Wanted) -> Self:
        """An upload with a revision of its own, so that no two write under one key."""
        revision = new_id()
        return cls(
            id=revision,
            account=account,
            key=f"{account.user_id}/{wanted.name}.{revision.hex}",
            reserved=0 if account.quota is None else max(0, (wanted.length or 0) - wanted.replaces),
            replaces=wanted.replaces,
        )


@frozen(kw_only=True)
class Doomed:
    """A blob that has to go."""

    id: UUID  # of its intent
    key: str


@frozen(kw_only=True)
class Used:
    """How much of a kind is stored, and reserved for uploads under way."""

    used_bytes: int
    reserved_bytes: int
