"""What a route says of itself beside its path: what it takes and what it answers, for the OpenAPI document."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import attrs
from attrs import field, frozen

from adiuva.errors import AdiuvaError

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"

Schema = Mapping[str, Any]
"""A JSON schema (draft 2020-12)."""

UUID_TEXT: Final[Schema] = {"type": "string", "format": "uuid"}


@frozen
class Listing:
    """A page of a list whose items are of ``item``'s kind; see `adiuva.web.paging`."""

    item: Any


@frozen
class Extended:
    """``kind``, an attrs class, of which some answers have more members: ``also`` says which, and what they are."""

    kind: type
    also: Schema


Kind = Any
"""What a body is made of: an annotation that `wire` reads or writes, a `Listing`, an `Extended`, or a JSON schema."""


@frozen
class Parameter:
    """A variable of the path, a member of the query, or a header."""

    name: str
    schema: Schema
    text: str = field(default="", kw_only=True)
    where: Literal["query", "header", "path"] = field(default="query", kw_only=True)
    required: bool = field(default=False, kw_only=True)
    example: Any = field(default=None, kw_only=True)


@frozen
class Body:
    """What a route takes; ``example`` is one that it would take."""

    kind: Kind
    example: Any = None
    media_type: str = field(default=JSON, kw_only=True)
    required: bool = field(default=True, kw_only=True)


BYTES: Final = Body({}, media_type=OCTETS)
"""Any bytes."""


@frozen
class Answer:
    """One kind of success; ``kind`` None is an answer without a body."""

    kind: Kind = None
    text: str = field(default="", kw_only=True)
    media_type: str = field(default=JSON, kw_only=True)
    is_streamed: bool = field(default=False, kw_only=True)  # where the client wants that: as server-sent events
    headers: tuple[str, ...] = field(default=(), kw_only=True)  # those that are described in web/openapi/headers.py
    example: Any = field(default=None, kw_only=True)  # None: one is made up from the schema


@frozen(kw_only=True)
class ErrorForm:
    """Another form of errors than problems."""

    name: str  # begins the names of its answers in the document
    schema: Schema
    example: Callable[[type[AdiuvaError]], Any]
    statuses: Mapping[int, int] = field(factory=dict)  # those that are not the ones of problems


NOTHING: Final[Mapping[int, Answer]] = {204: Answer()}
"""Done, and nothing to say."""


@frozen
class ClassParameter:
    """A member of a query whose schema is that of a field of an attrs class."""

    cls: type[attrs.AttrsInstance]
    name: str


def query_parameters(cls: type[attrs.AttrsInstance]) -> tuple[ClassParameter, ...]:
    """The members of a query that is read into an attrs class."""
    return tuple(ClassParameter(cls, attribute.name) for attribute in attrs.fields(cls))
