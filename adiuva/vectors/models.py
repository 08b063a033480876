"""What the vector calls take and give."""

import json
from contextlib import suppress
from typing import TypeVar

from attrs import field, frozen

from adiuva.errors import InvalidRequestError
from adiuva.vectors.protocol import Match
from adiuva.web import wire
from adiuva.web.wire import Length, Pattern, Range

T = TypeVar("T")

MAX_VECTORS = 100
MAX_IDS = 1000
MAX_TOP_K = 100
MAX_ID_LENGTH = 128


@frozen(kw_only=True)
class NewVector:
    """An entry to be kept; without ``vector``, one is derived from the blob."""

    id: str = field(validator=Length(1, MAX_ID_LENGTH))
    blob: bytes = field(repr=False)
    checksum: str = field(validator=Pattern("[0-9a-f]{64}", "a SHA-256 in lower-case hex"))
    vector: list[float] | None = field(default=None, repr=False)


@frozen(kw_only=True)
class UpsertRequest:
    """Entries to be kept, all or none."""

    vectors: list[NewVector] = field(validator=Length(1, MAX_VECTORS))


@frozen(kw_only=True)
class SearchRequest:
    """What to look for: a vector, or a blob that one is derived from."""

    blob: bytes | None = field(default=None, repr=False)
    vector: list[float] | None = field(default=None, repr=False)
    top_k: int = field(default=10, validator=Range(1, MAX_TOP_K))


@frozen(kw_only=True)
class DeleteRequest:
    """Entries to be forgotten."""

    ids: list[str] = field(validator=Length(1, MAX_IDS))


@frozen(kw_only=True)
class Upserted:
    """How many entries were kept."""

    upserted: int


@frozen(kw_only=True)
class Results:
    """What was found, the best first."""

    results: list[Match]


@frozen(kw_only=True)
class Deleted:
    """How many entries there were, and are no more."""

    deleted: int


def read(cls: type[T], raw: bytes) -> T:
    """As ``wire.read``; but of NaN and infinities, which JSON lacks and many writers write, the field is named.

    Raises:
        ValidationFailedError: Also where ``raw`` is no JSON for nothing but such numbers.
        InvalidRequestError: ``raw`` is no JSON.
    """
    try:
        return wire.read(cls, raw)
    except InvalidRequestError:
        with suppress(ValueError, RecursionError):
            wire.structure(cls, json.loads(raw))
        raise
