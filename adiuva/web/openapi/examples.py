"""Examples of answers: made up from their schemas, with the values that fit a field's name."""

from typing import Any, Final

from adiuva.tiers import TIER_NAMES

Schema = dict[str, Any]

_MOMENT: Final = "2026-01-15T09:30:00Z"
_NAMED: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIwMTliIn0.c2lnbmF0dXJl",
    "accepted_permissions": ["read:tasks"],
    "action": "create_task",
    "actor": "ada@example.org",
    "avg_rating": 4.5,
    "category": "sync",
    "checkout_url": "https://checkout.stripe.com/c/pay/cs_test_a1",
    "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "currency": "eur",
    "cursor": "42",
    "data_from_step": "notes",
    "description": "What it is for.",
    "detail": "There is no such thing here.",
    "email": "ada@example.org",
    "expires_in": 1800,
    "id": "019b1d2e-5f4a-7c3b-9d10-6a4c2f8e7b51",
    "limit": 50,
    "model": "gpt-4o-mini",
    "name": "task_agent",
    "output": "Three tasks are open.",
    "page": 1,
    "pending_permissions": [],
    "period": "2026-01",
    "permissions": ["read:tasks"],
    "plan_id": "generate_weekly_note",
    "plugin_id": "github-sync",
    "quota_bytes": 5 * 2**30,
    "refresh_token": "kq3J9vW0c1xY7mZr5tBn2uHs8dLf4gPe6aQoRiTyUwE",
    "response": "I have added the task.",
    "size_bytes": 4,
    "status": "active",
    "table": "tasks",
    "target": "github-sync",
    "template_id": "tpl_note_weekly_summary",
    "ticket": "b2F1eFJ0S0h4bGJ2",
    "tier": TIER_NAMES[1],
    "tools": ["create_task", "list_tasks"],
    "total": 1,
    "user_agent": "Adiuva/1.0",
    "vars": {"message": "{{message}}"},
    "version": "1.4.0",
}
_FORMATS: Final = {"date-time": _MOMENT, "uuid": _NAMED["id"], "email": _NAMED["email"]}
_CLASSES: Final[dict[str, type]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_PLAIN: Final[dict[str, Any]] = {"integer": 1, "number": 0.5, "boolean": True, "null": None, "object": {}}


def example_of(schema: Schema, components: dict[str, Schema], name: str = "") -> Any:
    """A value that ``schema`` allows, as that of a field called ``name``."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rsplit("/", 1)[-1]], components, name)
    if "allOf" in schema:
        parts = [example_of(part, components, name) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()}
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], components, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        named = _NAMED.get(name)
        return named if named in schema["enum"] else schema["enum"][0]
    return _typed(schema, components, name)


def _typed(schema: Schema, components: dict[str, Schema], name: str) -> Any:
    kinds = schema.get("type", "object")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if "properties" in schema:
        return {key: example_of(value, components, key) for key, value in schema["properties"].items()}
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if name in _NAMED and isinstance(_NAMED[name], _CLASSES[kind]):
        return _NAMED[name]
    if kind == "array":
        return [example_of(schema["items"], components, name.removesuffix("s"))]
    if kind == "string":
        return "AQID" if "contentEncoding" in schema else name or "text"
    if kind == "object" and schema.get("additionalProperties"):
        return {"name": example_of(schema["additionalProperties"], components)}
    return _PLAIN[kind]
