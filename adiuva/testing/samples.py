"""Arguments for tools, made from their schemas: right ones, odd ones that are right in form, and wrong ones."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

_SAMPLES: Final[dict[str, Any]] = {"string": "sample", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_FORMATS: Final = {
    "date": "2025-11-23",
    "date-time": "2025-11-23T09:30:00Z",
    "uuid": "00000000-0000-4000-8000-000000000001",
}
_ODD: Final[dict[str, list[Any]]] = {
    "string": ["", " ", "x" * 100_000, "naïve 🪴\u202e\u200b\x00", "../../etc/passwd", "'; DROP TABLE tasks; --"],
    "integer": [0, -1, 2**53, 10**30],
    "number": [0, -1.5, 1e308],
    "boolean": [False],
    "date": ["0001-01-01", "9999-12-31"],
    "date-time": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
}

_WRONG: Final[tuple[Any, ...]] = (None, 7, "x", [], {}, True, [[]], {"$ref": "#"})


def sample(schema: dict[str, Any]) -> Any:
    """A value that ``schema`` allows."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    match schema.get("type"):
        case "array":
            return [sample(schema.get("items", {}))]
        case "object":
            return {name: sample(part) for name, part in schema.get("properties", {}).items()}
        case kind:
            return _SAMPLES.get(str(kind), "sample")


def odd(schema: dict[str, Any]) -> Iterator[Any]:
    """Values of the type that ``schema`` asks for, which nobody expects; a tool may refuse them, but not break."""
    if "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from odd(part)
    elif "enum" not in schema and "const" not in schema:
        yield from _ODD.get(str(schema.get("format") or schema.get("type")), ())
        if schema.get("type") == "array":
            yield []
            yield [sample(schema.get("items", {}))] * 1000


def right_arguments(parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Arguments that a tool takes: all of them, only those it needs, and each in turn with odd values."""
    properties: dict[str, Any] = parameters.get("properties", {})
    everything = {name: sample(schema) for name, schema in properties.items()}
    yield everything
    yield {name: everything[name] for name in parameters.get("required", ())}
    for name, schema in properties.items():
        for value in odd(schema):
            yield everything | {name: value}


def wrong_arguments(parameters: dict[str, Any]) -> Iterator[str]:
    """Texts that models send in place of arguments: no JSON, no object, wrong types, unknown names."""
    yield from ("", "no JSON", "[]", "null", '{"a":', '{"a": NaN}', "[" * 5000, '"{}"', "{}{}", "\x00")
    yield '{"no_such_argument": 1}'
    for name in parameters.get("properties", {}):
        yield from (orjson.dumps({name: value}).decode() for value in _WRONG)
