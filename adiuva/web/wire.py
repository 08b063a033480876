"""The one JSON reader and writer of the server, and the constraints that request classes put on their fields.

A constraint stands once, on the attrs field: the reader enforces it, and the OpenAPI document reads its numbers.
"""

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import attrs
import orjson
from attrs import frozen

from adiuva.errors import InvalidRequestError, ValidationFailedError
from adiuva.sdk.convert import MismatchError, faults, strict_converter

T = TypeVar("T")

Constraint = Callable[[Any, "attrs.Attribute[Any]", Any], None]
"""A validator of a field."""

MAX_DEPTH = 100
"""How deep a value may be nested whose form is nobody's: so it can be written again, with all that is put around it."""

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_WRITABLE_DEPTH = 254  # orjson's own limit; it reads deeper than it writes
_PADDING = _WRITABLE_DEPTH - MAX_DEPTH
# As many as were ever in use at once: to make one takes longer than to write most values.
_shells: list[tuple[list[Any], list[Any]]] = []


@frozen
class Length:
    """Bounds of a string's characters, or of a list's items; both ends are allowed."""

    min: int = 0
    max: int | None = None

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Refuse a value outside the bounds; None is left to the field's type."""
        if value is None:
            return
        unit = "characters" if isinstance(value, str) else "items"
        if len(value) < self.min:
            raise MismatchError(f"must have at least {self.min} {unit}", field=attribute.name)
        if self.max is not None and len(value) > self.max:
            raise MismatchError(f"must have at most {self.max} {unit}", field=attribute.name)


@frozen
class Pattern:
    """A regular expression that a string matches as a whole; ``meaning`` completes "must be"."""

    pattern: str
    meaning: str

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Refuse a string that does not match; None is left to the field's type."""
        if value is not None and not re.fullmatch(self.pattern, value):
            raise MismatchError(f"must be {self.meaning}", field=attribute.name)


@frozen
class MaxBytes:
    """The most bytes that a string has in UTF-8."""

    max: int

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Refuse a longer string; None is left to the field's type."""
        if value is not None and len(value.encode()) > self.max:
            raise MismatchError(f"must have at most {self.max} bytes", field=attribute.name)


@frozen
class Range:
    """Bounds of a number; both ends are allowed."""

    min: float | None = None
    max: float | None = None

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Refuse a number outside the bounds; None is left to the field's type."""
        if value is None:
            return
        if self.min is not None and value < self.min:
            raise MismatchError(f"must be at least {self.min}", field=attribute.name)
        if self.max is not None and value > self.max:
            raise MismatchError(f"must be at most {self.max}", field=attribute.name)


@frozen
class Described:
    """A constraint of a field's own; ``schema`` is what of it JSON schema can say."""

    check: Constraint
    schema: Mapping[str, Any]

    def __call__(self, instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Refuse what ``check`` refuses."""
        self.check(instance, attribute, value)


def load(raw: bytes) -> Any:
    """The value that ``raw`` says in JSON.

    Raises:
        InvalidRequestError: ``raw`` is no JSON, or no UTF-8, or nested beyond reason.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidRequestError("The body is not valid JSON.") from None


def structure(cls: type[T], data: Any) -> T:
    """Make a ``cls`` of JSON ``data``, without coercion; unknown keys are ignored.

    Raises:
        ValidationFailedError: with the path of each field that is missing or wrong.
    """
    try:
        return _CONVERTER.structure(data, cls)
    except Exception as error:
        found = faults(error)
        if not found:
            raise
        raise ValidationFailedError([(field or "body", message) for field, message in found]) from None


def read(cls: type[T], raw: bytes) -> T:
    """Make a ``cls`` of the JSON in ``raw``: see ``load`` and ``structure`` for the errors."""
    return structure(cls, load(raw))


def dump(obj: Any) -> bytes:
    """``obj`` as JSON: times in RFC 3339 with ``Z``, ids as text, bytes as base64, attrs objects by their fields."""
    return orjson.dumps(obj, default=_plain, option=_OPTIONS)


def dump_free(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """A value of any form as JSON; ``default`` is orjson's.

    Raises:
        TypeError: it has no JSON form, or is nested deeper than ``MAX_DEPTH``.
    """
    # orjson looks at the depth, and so nobody else has to walk through it.
    core, shell = _shells.pop() if _shells else _new_shell()
    core[0] = value
    try:
        return orjson.dumps(shell, default=default)[_PADDING:-_PADDING]
    finally:
        core[0] = None
        _shells.append((core, shell))


def _new_shell() -> tuple[list[Any], list[Any]]:
    """A list in as many others as make up a value's padding, and the outermost of them."""
    core: list[Any] = [None]
    shell = core
    for _ in range(_PADDING - 1):
        shell = [shell]
    return core, shell


def _plain(value: Any) -> Any:
    cls = type(value)
    if attrs.has(cls):
        return {name: getattr(value, name) for name in _names(cls)}
    if isinstance(value, UUID):  # asyncpg's own class of it
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, set | frozenset):
        return list(value)
    message = f"{cls.__qualname__} has no JSON form"
    raise TypeError(message)


@cache
def _names(cls: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in attrs.fields(cls))


def _without_nul(structure_text: Any) -> Any:
    # PostgreSQL has no NUL in text; a JSON string may have one.
    def structure_clean(value: Any, cls: Any) -> Any:
        text = structure_text(value, cls)
        if "\x00" in text:
            raise MismatchError("must not contain a NUL character")
        return text

    return structure_clean


_CONVERTER = strict_converter()
_CONVERTER.register_structure_hook(str, _without_nul(_CONVERTER.get_structure_hook(str)))
