"""The strict converter: what JSON says is what you get, or an error that names the field.

The stock cattrs converter makes ``"5"`` an ``int``, ``None`` the text ``'None'`` and ``"false"`` a true ``bool``.
This one never turns one type into another: arguments and bodies are either what was asked for, or refused.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

import attrs
from cattrs import BaseValidationError, Converter, StructureHandlerNotFoundError
from cattrs.cols import homogenous_tuple_structure_factory, list_structure_factory, mapping_structure_factory
from cattrs.errors import AttributeValidationNote, IterableValidationNote

Hook = Callable[[Any, Any], Any]

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


def strict_converter() -> Converter:
    """A new converter without coercion, for JSON data as orjson or ``json`` read it.

    * ``str``, ``int``, ``bool``, ``None``: that very type; ``float`` takes an integer too, but no NaN or infinity.
    * ``date``, ``datetime``, ``UUID``: ISO 8601 text (``2025-11-23``, ``2025-11-23T09:30:00Z``). A datetime without an
      offset comes out naive. ``bytes``: base64 text.
    * ``Literal`` and ``Enum``: one of their values, type and all (``1`` is not ``True``).
    * Unions: the first member that takes the value. ``Optional``: it, or null.
    * ``list``, ``tuple[X, ...]``, ``set``, ``frozenset``: a list.
    * ``dict``: an object; a ``dict[str, Any]`` is handed on as it is.
    * attrs classes: an object; keys that the class does not know are ignored.

    More hooks may be registered on the result; the last one registered wins. See ``faults`` for its errors.
    """
    converter = Converter(detailed_validation=True)
    for kind, check in _SCALARS.items():
        converter.register_structure_hook(kind, _scalar_hook(kind, check))
    converter.register_structure_hook_factory(_is_enum, lambda cls: lambda value, _: _enum(value, cls))
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    converter.register_structure_hook_factory(_is_list, lambda t: _list_hook(t, converter))
    converter.register_structure_hook_factory(_is_set, lambda t: _set_hook(t, converter))
    converter.register_structure_hook_factory(_is_tuple, lambda t: _tuple_hook(t, converter))
    converter.register_structure_hook_factory(_is_dict, lambda t: _dict_hook(t, converter))
    converter.register_structure_hook_factory(_is_attrs, lambda t: _attrs_hook(t, converter))
    converter.register_structure_hook_factory(is_union, lambda t: _union_hook(t, converter))
    return converter


def faults(error: Exception) -> list[tuple[str, str]]:
    """What an error of structuring says: pairs of a field (``history[0].role``) and its fault (``must be a string``).

    The field is empty where the value as a whole is wrong. No message repeats a value that was sent.
    """
    return list(_walk(error, ""))


def _walk(error: Exception, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _walk(inner, path + _step(inner, path))
    elif isinstance(error, MismatchError):
        yield path + (_attribute(error.field, path) if error.field else ""), error.message
    elif isinstance(error, KeyError):
        yield path, "is missing"
    else:
        yield path, "is not valid"


def _step(error: BaseException, path: str) -> str:
    # An error that passes several levels keeps all their notes; the last one is of the level at hand.
    for note in reversed(getattr(error, "__notes__", [])):
        if isinstance(note, AttributeValidationNote):
            return _attribute(note.name, path)
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]" if isinstance(note.index, int) else _attribute(note.index, path)
    return ""


def _attribute(name: str, path: str) -> str:
    return f".{name}" if path else name


def _scalar_hook(kind: type, check: Callable[[Any], Any]) -> Hook:
    # cattrs finds this hook for subclasses too, above all for enums that are strings or integers as well.
    def structure(value: Any, cls: Any) -> Any:
        if cls is kind:
            return check(value)
        if _is_enum(cls):
            return _enum(value, cls)
        message = f"unsupported type: {cls!r}"
        raise StructureHandlerNotFoundError(message, cls)

    return structure


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise MismatchError("must be a string")


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MismatchError("must be an integer")


def _float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise MismatchError("must be a number")


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise MismatchError("must be true or false")


def _none(value: Any) -> None:
    if value is not None:
        raise MismatchError("must be null")


def _date(value: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise MismatchError("must be a date like 2025-11-23")


def _datetime(value: Any) -> datetime:
    if isinstance(value, str) and _DATETIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    raise MismatchError("must be a date and time like 2025-11-23T09:30:00Z")


def _uuid(value: Any) -> UUID:
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise MismatchError("must be a UUID")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise MismatchError("must be base64")


_SCALARS: dict[type, Callable[[Any], Any]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: _bool,
    NoneType: _none,
    date: _date,
    datetime: _datetime,
    UUID: _uuid,
    bytes: _bytes,
}


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _enum(value: Any, cls: type[Enum]) -> Enum:
    for member in cls:
        if _same(member.value, value):
            return member
    raise MismatchError(_one_of([member.value for member in cls]))


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _literal_hook(literal: Any) -> Hook:
    options = [(option, option.value if isinstance(option, Enum) else option) for option in get_args(literal)]

    def structure(value: Any, _: Any) -> Any:
        for option, plain in options:
            if _same(plain, value):
                return option
        raise MismatchError(_one_of([plain for _, plain in options]))

    return structure


def _same(expected: Any, value: Any) -> bool:
    return type(expected) is type(value) and bool(expected == value)


def _one_of(values: Sequence[Any]) -> str:
    texts = [json.dumps(value, ensure_ascii=False, default=str) for value in values]
    return f"must be {'one of ' if len(texts) > 1 else ''}{', '.join(texts)}"


def _origin(cls: Any) -> Any:
    return get_origin(cls) or cls


def _is_list(cls: Any) -> bool:
    return _origin(cls) is list


def _is_set(cls: Any) -> bool:
    return _origin(cls) in (set, frozenset)


def _is_tuple(cls: Any) -> bool:
    return _origin(cls) is tuple


def _is_dict(cls: Any) -> bool:
    return _origin(cls) in (dict, Mapping)


def _is_attrs(cls: Any) -> bool:
    return isinstance(_origin(cls), type) and attrs.has(_origin(cls))


def is_union(cls: Any) -> bool:
    """Whether ``cls`` is a union, ``Optional`` included, however it is spelled."""
    return get_origin(cls) in (Union, UnionType)


def _guarded(kind: type, message: str, inner: Hook) -> Hook:
    def structure(value: Any, cls: Any) -> Any:
        if not isinstance(value, kind):
            raise MismatchError(message)
        return inner(value, cls)

    return structure


def _list_hook(cls: Any, converter: Converter) -> Hook:
    return _guarded(list, "must be a list", list_structure_factory(cls, converter))


def _set_hook(cls: Any, converter: Converter) -> Hook:
    elements = list_structure_factory(cls, converter)
    origin = _origin(cls)
    return _guarded(list, "must be a list", lambda value, _: origin(elements(value, cls)))


def _tuple_hook(cls: Any, converter: Converter) -> Hook:
    if get_args(cls)[1:] not in ((), (...,)):
        message = f"{cls} mixes types by position; use an attrs class"
        raise StructureHandlerNotFoundError(message, cls)
    return _guarded(list, "must be a list", homogenous_tuple_structure_factory(cls, converter))


def _dict_hook(cls: Any, converter: Converter) -> Hook:
    if get_args(cls) in ((), (str, Any), (Any, Any)):
        return _guarded(dict, "must be an object", lambda value, _: value)
    return _guarded(dict, "must be an object", mapping_structure_factory(cls, converter))


def _attrs_hook(cls: Any, converter: Converter) -> Hook:
    return _guarded(dict, "must be an object", converter.gen_structure_attrs_fromdict(cls))


def _union_hook(union: Any, converter: Converter) -> Hook:
    nullable = NoneType in get_args(union)
    # float would swallow an integer that another member takes as it is.
    members = sorted((m for m in get_args(union) if m is not NoneType), key=lambda m: m is float)
    hooks = [(converter.get_structure_hook(member), member) for member in members]

    def structure(value: Any, _: Any) -> Any:
        if value is None and nullable:
            return None
        if len(hooks) == 1:
            return hooks[0][0](value, hooks[0][1])
        messages = []
        for hook, member in hooks:
            try:
                return hook(value, member)
            except (MismatchError, BaseValidationError) as error:
                messages += [f"{field} {message}" if field else message for field, message in faults(error)]
        raise MismatchError(" or ".join([messages[0], *(message.removeprefix("must be ") for message in messages[1:])]))

    return structure
