"""What a write tool returns: a change for the client to apply."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
from attrs import field, frozen

from adiuva.sdk.errors import ToolError
from adiuva.sdk.unset import UNSET


def to_json(value: Any) -> Any:
    """``value`` as JSON data: dates as ISO 8601 text (in UTC if there is an offset), enums by value, attrs as objects.

    What is `UNSET` in an object is left out.

    Raises:
        TypeError: something in it has no JSON form.
    """
    match value:
        case Enum():
            return to_json(value.value)
        case None | str() | bool() | int() | float():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping():
            return {str(to_json(key)): to_json(entry) for key, entry in value.items() if entry is not UNSET}
        case list() | tuple() | set() | frozenset():
            return [to_json(entry) for entry in value]
    if attrs.has(type(value)):
        return to_json({name: getattr(value, name) for name in attrs.fields_dict(type(value))})
    raise TypeError(f"{type(value).__name__} has no JSON form")


def changes(**fields: object) -> dict[str, Any]:
    """The fields that a tool was given to change, without those that are `UNSET`.

    Raises:
        ToolError: all are; the message tells the model to give one.
    """
    given = {name: value for name, value in fields.items() if value is not UNSET}
    if not given:
        raise ToolError(f"There is nothing to change: give at least one of {', '.join(fields)}.")
    return given


@frozen
class Action:
    """A change that the app is to apply to its own data: ``Action("create_task", {"title": "Water the roses"})``.

    ``name`` is the tool's name. ``params`` are its arguments; they may hold dates, enums, UUIDs and attrs objects,
    which become JSON here, and `UNSET` values, which are left out. With ``requires_confirmation`` the app asks its user
    before it applies the action; every ``delete_…`` has it whatever you say.

    Raises:
        TypeError: a parameter has no JSON form.
    """

    name: str
    params: dict[str, Any] = field(factory=dict, converter=to_json, repr=False)
    requires_confirmation: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.name.startswith("delete_"):
            object.__setattr__(self, "requires_confirmation", True)
