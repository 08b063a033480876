"""JSON schemas from type annotations: what a model is told about a tool's arguments."""

from collections.abc import Hashable, Mapping
from datetime import date, datetime
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from adiuva.sdk.actions import to_json
from adiuva.sdk.convert import NON_BLANK, is_union
from adiuva.sdk.docstrings import parse_docstring
from adiuva.sdk.errors import DefinitionError
from adiuva.sdk.unset import UNSET, Unset

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    UUID: {"type": "string", "format": "uuid"},
    Any: {},
}
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
_FACTORY: Final[type] = type(attrs.Factory(object))  # to mypy, attrs.Factory is a function
SUPPORTED = (
    "str, int, float, bool, date, datetime, UUID, Literal, Enum, list, tuple[X, ...], set, dict[str, X], "
    "unions of these, and attrs classes"
)


def schema_of(annotation: Any) -> Schema:
    """The JSON schema of the values that `strict_converter` takes for ``annotation``.

    Raises:
        DefinitionError: it has no JSON schema; the message says which types have.
    """
    return _schema(annotation, ())


def property_schema(annotation: Any, default: Any, description: str) -> Schema:
    """The schema of an argument or a field: with its description, and its default where that is a value.

    ``default`` is `attrs.NOTHING` where it must be given. A text in ``Annotated`` goes before ``description``.
    """
    return _property(annotation, default, description, ())


def _schema(annotation: Any, parents: tuple[type, ...]) -> Schema:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(annotation, parents)
    if isinstance(annotation, Hashable) and annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if is_union(annotation):
        return _union([arg for arg in args if arg is not Unset], parents)
    if origin is Literal:
        return _enumeration([arg.value if isinstance(arg, Enum) else arg for arg in args])
    kind = origin or annotation
    if kind in (list, set, frozenset) or (kind is tuple and args[1:] in ((), (...,))):
        return {"type": "array", "items": _schema(args[0], parents) if args else {}}
    if kind in (dict, Mapping):
        return _object(args, parents)
    if isinstance(kind, type) and issubclass(kind, Enum) and kind is not Unset:
        return _enumeration([member.value for member in kind])
    if isinstance(kind, type) and attrs.has(kind):
        return _class(kind, parents)
    raise DefinitionError(f"{_text(annotation)} is not supported; there are {SUPPORTED}")


def _annotated(annotation: Any, parents: tuple[type, ...]) -> Schema:
    schema = _schema(annotation.__origin__, parents)
    if NON_BLANK in annotation.__metadata__:
        schema["minLength"] = 1
    text = _annotated_text(annotation)
    return schema | ({"description": text} if text else {})


def _annotated_text(annotation: Any) -> str:
    metadata = annotation.__metadata__ if get_origin(annotation) is Annotated else ()
    return next((entry for entry in reversed(metadata) if isinstance(entry, str)), "")


def _union(members: list[Any], parents: tuple[type, ...]) -> Schema:
    schemas = [_schema(member, parents) for member in members]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _enumeration(values: list[Any]) -> Schema:
    kinds = {type(value) for value in values}
    if not values or not kinds <= set(_NAMES):
        raise DefinitionError(f"choices must be strings, numbers or booleans, not {values!r}")
    return ({"type": _NAMES[kinds.pop()]} if len(kinds) == 1 else {}) | {"enum": values}


def _object(args: tuple[Any, ...], parents: tuple[type, ...]) -> Schema:
    if args and args[0] is not str:
        raise DefinitionError(f"the keys of a dict must be str, not {_text(args[0])}")
    values = _schema(args[1], parents) if args else {}
    return {"type": "object"} | ({"additionalProperties": values} if values else {})


def _class(cls: type, parents: tuple[type, ...]) -> Schema:
    if cls in parents:
        raise DefinitionError(f"{cls.__name__} contains itself, which is not supported")
    description, descriptions = parse_docstring(cls.__doc__)
    hints = get_type_hints(cls, include_extras=True)
    properties = {}
    required = []
    for field in attrs.fields(cls):
        if not field.init:
            continue
        if field.name not in hints:
            raise DefinitionError(f"{cls.__name__}.{field.name} needs a type annotation")
        text = descriptions.get(field.name, "")
        properties[field.name] = _property(hints[field.name], field.default, text, (*parents, cls))
        if field.default is attrs.NOTHING:
            required.append(field.name)
    return (
        ({"description": description} if description else {})
        | {"type": "object", "properties": properties}
        | ({"required": required} if required else {})
    )


def _property(annotation: Any, default: Any, description: str, parents: tuple[type, ...]) -> Schema:
    # Where the default is null, giving null says the same as giving nothing: one thing less for a model to get wrong.
    schema = _schema(_without_null(annotation) if default is None else annotation, parents)
    if description and not _annotated_text(annotation):
        schema["description"] = description
    if not (default is attrs.NOTHING or default is None or default is UNSET or isinstance(default, _FACTORY)):
        schema["default"] = to_json(default)
    return schema


def _without_null(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return Annotated[(_without_null(annotation.__origin__), *annotation.__metadata__)]
    if is_union(annotation):
        return Union[tuple(arg for arg in get_args(annotation) if arg not in (NoneType, Unset))]  # noqa: UP007
    return annotation


def _text(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
