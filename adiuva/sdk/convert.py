"""The strict converter: what JSON says is what you get, or an error that names the field.

The stock cattrs converter makes ``"5"`` an ``int``, ``None`` the text ``'None'`` and ``"false"`` a true ``bool``.
This one never turns one type into another: arguments and bodies are either what was asked for, or refused.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, StructureHandlerNotFoundError
from cattrs.cols import homogenous_tuple_structure_factory, list_structure_factory, mapping_structure_factory
from cattrs.errors import AttributeValidationNote, IterableValidationNote

from adiuva.sdk.scalars import SCALARS, MismatchError, check_str
from adiuva.sdk.unset import Unset

__all__ = ["Hook", "MismatchError", "NonBlank", "faults", "is_union", "strict_converter"]

Hook = Callable[[Any, Any], Any]

NON_BLANK: Final = object()
NonBlank = Annotated[str, NON_BLANK]
"""Text that says something: an empty string, or one of white space only, is refused."""


def strict_converter() -> Converter:
    """A new converter without coercion, for JSON data as orjson or ``json`` read it.

    * ``str``, ``int``, ``bool``, ``None``: that very type; ``float`` takes an integer too, but no NaN or infinity.
    * ``date``, ``datetime``, ``UUID``: ISO 8601 text (``2025-11-23``, ``2025-11-23T09:30:00Z``). A datetime without an
      offset comes out naive. ``bytes``: base64 text.
    * ``Literal`` and ``Enum``: one of their values, type and all (``1`` is not ``True``).
    * Unions: the first member that takes the value. ``Optional``: it, or null. ``Unset`` is never taken.
    * `NonBlank`: text that is not empty or white space.
    * ``list``, ``tuple[X, ...]``, ``set``, ``frozenset``: a list.
    * ``dict``: an object; a ``dict[str, Any]`` is handed on as it is.
    * attrs classes: an object; keys that the class does not know are ignored.

    More hooks may be registered on the result; the last one registered wins. See ``faults`` for its errors.
    """
    converter = Converter(detailed_validation=True)
    for kind, check in SCALARS.items():
        converter.register_structure_hook(kind, _scalar_hook(kind, check))
    converter.register_structure_hook_factory(_is_enum, lambda cls: lambda value, _: _enum(value, cls))
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    converter.register_structure_hook_factory(_is_list, lambda t: _list_hook(t, converter))
    converter.register_structure_hook_factory(_is_set, lambda t: _set_hook(t, converter))
    converter.register_structure_hook_factory(_is_tuple, lambda t: _tuple_hook(t, converter))
    converter.register_structure_hook_factory(_is_dict, lambda t: _dict_hook(t, converter))
    converter.register_structure_hook_factory(_is_attrs, lambda t: _attrs_hook(t, converter))
    converter.register_structure_hook_factory(_is_non_blank, lambda _: _non_blank)
    own_unions = converter._union_struct_registry  # noqa: SLF001 - where cattrs keeps hooks registered for a union
    converter.register_structure_hook_factory(
        lambda t: is_union(t) and t not in own_unions, lambda t: _union_hook(t, converter)
    )
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


def _is_non_blank(cls: Any) -> bool:
    return get_origin(cls) is Annotated and NON_BLANK in cls.__metadata__


def _non_blank(value: Any, _: Any) -> str:
    if check_str(value).strip():
        return cast("str", value)
    raise MismatchError("must not be empty")


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
    members = sorted((m for m in get_args(union) if m not in (NoneType, Unset)), key=lambda m: m is float)
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
