"""What a batch of records takes and gives."""

from typing import Any, Final
from uuid import UUID

from attrs import Attribute, field, frozen

from adiuva.sdk.convert import MismatchError
from adiuva.storage.models import CHECKSUM, CHECKSUM_MEANING, TABLE, TABLE_MEANING, Record
from adiuva.web.wire import Length, Pattern

MAX_RECORDS: Final = 100
MAX_RECORD_BYTES: Final = 256 * 2**10


def _is_small(_: object, attribute: "Attribute[bytes]", value: bytes) -> None:
    if len(value) > MAX_RECORD_BYTES:
        raise MismatchError(f"must have at most {MAX_RECORD_BYTES} bytes", field=attribute.name)


@frozen(kw_only=True)
class Item:
    """One record of a batch: a new one, or with ``if_match`` a replacement. Without an id it cannot be retried."""

    id: UUID | None = None
    if_match: str | None = field(default=None, validator=Pattern(rf"\*|{CHECKSUM}", f"* or {CHECKSUM_MEANING}"))
    table: str = field(validator=Pattern(TABLE, TABLE_MEANING))
    checksum: str = field(validator=Pattern(CHECKSUM, CHECKSUM_MEANING))
    blob: bytes = field(validator=_is_small, repr=False)


@frozen(kw_only=True)
class RecordBatch:
    """Records to be stored together."""

    records: list[Item] = field(validator=Length(1, MAX_RECORDS))


@frozen(kw_only=True)
class Result:
    """What became of one record: what a request of its own would have been answered with."""

    status: int
    record: Record | None = None
    error: dict[str, Any] | None = None
