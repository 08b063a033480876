"""Checks of single JSON values: each gives the value as its type, or says what it must be."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import date, datetime
from types import NoneType
from typing import Any
from uuid import UUID

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class MismatchError(ValueError):
    """A value is not of the type, or not within the bounds, that its field asks for.

    Raise it from a structure hook or an attrs validator: its message completes a sentence that begins with the field's
    name (``must be a string``) and is shown to whoever sent the value. A validator names its ``field``, because cattrs
    sees it fail for the object as a whole.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        """``message`` never repeats the value: it may be long, or private."""
        super().__init__(message)
        self.message = message
        self.field = field


def check_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise MismatchError("must be a string")


def check_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MismatchError("must be an integer")


def check_float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise MismatchError("must be a number")


def check_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise MismatchError("must be true or false")


def check_none(value: Any) -> None:
    if value is not None:
        raise MismatchError("must be null")


def check_date(value: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise MismatchError("must be a date like 2025-11-23")


def check_datetime(value: Any) -> datetime:
    if isinstance(value, str) and _DATETIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    raise MismatchError("must be a date and time like 2025-11-23T09:30:00Z")


def check_uuid(value: Any) -> UUID:
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise MismatchError("must be a UUID")


def check_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise MismatchError("must be base64")


SCALARS: dict[type, Callable[[Any], Any]] = {
    str: check_str,
    int: check_int,
    float: check_float,
    bool: check_bool,
    NoneType: check_none,
    date: check_date,
    datetime: check_datetime,
    UUID: check_uuid,
    bytes: check_bytes,
}
