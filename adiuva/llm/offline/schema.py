"""JSON schemas of tools, as far as the offline stand-in looks into them."""

from collections.abc import Mapping, Sequence
from typing import Any

from adiuva.llm.offline.text import Sentence, Span
from adiuva.llm.offline.verbs import SYNONYMS
from adiuva.llm.protocol import ToolSpec

_DEEPEST = 10  # a schema may refer to itself


def properties(tool: ToolSpec) -> dict[str, dict[str, Any]]:
    """Each parameter's schema, with references followed and a permitted null left out."""
    root = tool.parameters
    return {name: plain(schema, root) for name, schema in root.get("properties", {}).items()}


def plain(schema: Any, root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema that says what a value is like, whatever it is wrapped in."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return {}
    if "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part, {}) if isinstance(target, dict) else {}
        return plain(target, root, depth + 1)
    for union in ("anyOf", "oneOf", "allOf"):
        options = [plain(option, root, depth + 1) for option in schema.get(union, ())]
        if chosen := next((option for option in options if option.get("type") != "null"), None):
            return {**chosen, **{key: value for key, value in schema.items() if key != union}}
    kind = schema.get("type")
    if isinstance(kind, list):
        schema = {**schema, "type": next((name for name in kind if name != "null"), "string")}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    return dict(schema)


def enum_values(tool: ToolSpec) -> list[Sequence[Any]]:
    """The values of each parameter that has an enum."""
    return [schema["enum"] for schema in properties(tool).values() if schema.get("enum")]


def values_in(sentence: Sentence, values: Sequence[Any]) -> tuple[Any, Span] | None:
    """The first of an enum's values that the sentence names, in whatever words, and where."""
    for spoken in (False, True):
        for value in values:
            names = SYNONYMS.get(value, ()) if spoken else (value,)
            for name in names:
                if isinstance(name, str) and (span := sentence.has(name)):
                    return value, span
    return None


def fallback(schema: dict[str, Any]) -> Any:
    """A value for a required parameter of which the sentence says nothing; None where there is no fair one."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    return {"boolean": False, "array": [], "object": {}}.get(str(schema.get("type")))
