"""JSON schemas (draft 2020-12) of bodies: from attrs classes, their annotations, and their fields' constraints."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from attrs import define, field

from adiuva.sdk.convert import is_union
from adiuva.web.describe import UUID_TEXT, Extended, Kind, Listing
from adiuva.web.paging import MAX_LIMIT, MAX_PAGE
from adiuva.web.wire import Described, Length, MaxBytes, Pattern, Range

Schema = dict[str, Any]

_SCALARS: Final[Mapping[Any, Mapping[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    NoneType: {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    UUID: UUID_TEXT,
    Any: {},
}
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}
_FACTORY: Final[type] = type(attrs.Factory(object))  # to mypy, attrs.Factory is a function


@define
class Schemas:
    """The schemas of the classes asked for so far, by the name under which a document has them."""

    components: dict[str, Schema] = field(factory=dict)
    _names: dict[tuple[type, bool], str] = field(factory=dict)

    def of(self, kind: Kind, *, answer: bool) -> Schema:
        """The schema of what `wire` reads as ``kind``, or writes, where it is an ``answer``.

        Raises:
            TypeError: ``kind`` is none of the kinds of which there are schemas.
        """
        match kind:
            case Listing():
                return _listing(self.of(kind.item, answer=answer))
            case Extended():
                return {"allOf": [self.of(kind.kind, answer=answer), {"type": "object", "properties": {**kind.also}}]}
            case dict():
                return {**kind}
        return self._annotation(kind, answer=answer)

    def of_field(self, cls: type[attrs.AttrsInstance], name: str) -> Schema:
        """The schema of one field of a class that is read."""
        return self._property(get_type_hints(cls)[name], attrs.fields_dict(cls)[name], answer=False)

    def _annotation(self, annotation: Any, *, answer: bool) -> Schema:
        if annotation in _SCALARS:
            return dict(_SCALARS[annotation])
        origin, args = get_origin(annotation), get_args(annotation)
        if is_union(annotation):
            return _union([self._annotation(arg, answer=answer) for arg in args])
        if origin is Literal:
            return _choice(list(args))
        kind = origin or annotation
        if kind in (list, tuple):
            return {"type": "array", "items": self._annotation(args[0], answer=answer)}
        if kind in (dict, Mapping):
            values = self._annotation(args[1], answer=answer) if args else {}
            return {"type": "object"} | ({"additionalProperties": values} if values else {})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _choice([member.value for member in kind])
        if isinstance(kind, type) and attrs.has(kind):
            return {"$ref": f"#/components/schemas/{self._component(kind, answer=answer)}"}
        message = f"{annotation} has no schema"
        raise TypeError(message)

    def _component(self, cls: type[attrs.AttrsInstance], *, answer: bool) -> str:
        known = self._names.get((cls, answer))
        if known is not None:
            return known
        name = cls.__name__
        if name in self.components:  # two domains may use one word
            name = f"{cls.__module__.split('.')[1].title()}{name}"
        if name in self.components:
            message = f"two schemas would have the name {name}"
            raise TypeError(message)
        self._names[cls, answer] = name
        self.components[name] = {}  # its place: what it refers to comes after it
        self.components[name] = self._class(cls, answer=answer)
        return name

    def _class(self, cls: type[attrs.AttrsInstance], *, answer: bool) -> Schema:
        hints = get_type_hints(cls)
        fields = attrs.fields(cls)
        # Of an answer, only what is None by default may be missing: everything else is written whatever it is.
        required = [each.name for each in fields if each.default is attrs.NOTHING or (answer and each.default)]
        return {
            "type": "object",
            "description": description(cls),
            "properties": {each.name: self._property(hints[each.name], each, answer=answer) for each in fields},
        } | ({"required": required} if required else {})

    def _property(self, annotation: Any, attribute: "attrs.Attribute[Any]", *, answer: bool) -> Schema:
        schema = self._annotation(annotation, answer=answer)
        for constraint in _constraints(attribute.validator):
            schema |= _keywords(constraint, schema)
        default = attribute.default
        if not (answer or default is attrs.NOTHING or default is None or isinstance(default, _FACTORY)):
            schema["default"] = default
        return schema


def description(thing: Any) -> str:
    """The first paragraph of a docstring, in a line."""
    paragraph = inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.replace("``", "`").split())


def _listing(item: Schema) -> Schema:
    properties = {
        "items": {"type": "array", "items": item},
        "page": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        "total": {"type": "integer", "minimum": 0, "description": "How many there are on all pages."},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _choice(values: list[Any]) -> Schema:
    if len(values) == 1:
        return {"type": _TYPES[type(values[0])], "const": values[0]}
    return {"type": _TYPES[type(values[0])], "enum": values}


def _union(members: list[Schema]) -> Schema:
    null = {"type": "null"}
    if len(members) == 2 and null in members:
        other = next(member for member in members if member != null)
        if "type" in other and "enum" not in other:
            return {**other, "type": [other["type"], "null"]}
    return {"anyOf": members}


def _constraints(validator: Callable[..., None] | None) -> Iterator[Any]:
    several = getattr(validator, "_validators", None)  # of attrs.validators.and_, which a list of them becomes
    if several is not None:
        yield from several
    elif validator is not None:
        yield validator


def _keywords(constraint: Any, schema: Schema) -> Schema:
    """What JSON schema says for ``constraint`` on a field of that ``schema``.

    Raises:
        TypeError: it is one that no document could tell of.
    """
    match constraint:
        case Length():
            unit = "Items" if "items" in schema else "Length"
            most = {} if constraint.max is None else {f"max{unit}": constraint.max}
            return ({f"min{unit}": constraint.min} if constraint.min else {}) | most
        case MaxBytes():  # as many characters have at least as many bytes
            return {"maxLength": constraint.max, "description": f"At most {constraint.max} bytes in UTF-8."}
        case Pattern():
            return {"pattern": f"^(?:{constraint.pattern})$", "description": f"{constraint.meaning}."}
        case Range():
            bounds = {"minimum": constraint.min, "maximum": constraint.max}
            return {name: bound for name, bound in bounds.items() if bound is not None}
        case Described():
            return {**constraint.schema}
    message = f"{constraint} has no words in JSON schema; make it a Described"
    raise TypeError(message)
