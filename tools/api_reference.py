"""Writes docs/api.md and docs/websocket.md from what the server says of itself; a test tells if they are old."""

from pathlib import Path
from typing import Any

import orjson

from adiuva import __version__
from adiuva.app import create_app
from adiuva.chat import frames as chat_frames
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.socket import MAX_WAITING
from adiuva.settings import Settings
from adiuva.storage.changes import frames as change_frames
from adiuva.web import wire
from adiuva.web.openapi.document import make_document
from adiuva.web.openapi.schemas import Schemas
from adiuva.web.routes import ROUTES

DOCS = Path(__file__).parent.parent / "docs"
_HEAD = """# API reference

Made from the server's OpenAPI document by `tools/api_reference.py`; do not edit. A running server has the document
itself at `/api/v1/openapi.json`, and with `ENV=dev` a page to try the calls on at `/docs`. What the calls mean is in
[How it works](how-it-works.md) and [API extensions](api-extensions.md); sockets are in [WebSockets](websocket.md).

Calls need `Authorization: Bearer <access token>` unless they are marked as public. Every answer has `X-Request-ID`;
those of calls that are counted have `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`. An error is a
problem (RFC 9457); its `code` is one of those that stand behind the status.
"""
_SOCKETS_HEAD = """# WebSockets

Made from the classes of the frames by `tools/api_reference.py`; do not edit. Each frame is one JSON object in a text
message. Two sockets: `/api/v1/chat/stream` and `/api/v1/storage/stream`.

A socket opens with a ticket of `POST /auth/ticket` as `?ticket=`, with the access token in `Authorization`, or with it
as `?token=`; else the upgrade is `401`. A page needs an origin of `CORS_ORIGINS` or the server's own, else `403`. The
server sends a ping every 30 s, and closes a socket that leaves two unanswered.

| close code | when |
|---|---|
| 1001 | the server stops; what ran or waited has got `going_away` |
| 1003 | a binary frame |
| 1009 | a frame over 1 MiB (1 KiB on the storage stream) |
| 4401 | the token has expired, or its login was revoked |
| 4408 | the client has taken nothing of what it was sent for 20 s |
"""


def pages() -> dict[str, str]:
    """What the pages have to be, by their names."""
    return {"api.md": page(document()), "websocket.md": sockets_page()}


def document() -> dict[str, Any]:
    """The document as a server in production gives it."""
    app = create_app(Settings(env="prod", jwt_secret="x" * 32), registry=AgentRegistry())
    made: dict[str, Any] = orjson.loads(wire.dump(make_document(app[ROUTES], __version__)))
    return made


def page(spec: dict[str, Any]) -> str:
    """The document as Markdown."""
    parts = [_HEAD]
    for tag in spec["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, operations in spec["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag["name"]]:
                    parts.append(_call(spec, method, path, operation))
    parts.append("## Objects\n")
    parts += [_object(name, schema) for name, schema in sorted(spec["components"]["schemas"].items())]
    return "\n".join(parts)


def _call(spec: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    access = "" if operation["security"] else " (public)"
    lines = [f"### `{method.upper()} {path}`{access}", "", operation["summary"], ""]
    for each in operation.get("parameters", ()):
        needed = ", required" if each.get("required") else ""
        text = each.get("description") or each["schema"].get("description", "")
        lines.append(f"- {each['in']} `{each['name']}`: {_kind(each['schema'])}{needed}. {text}".rstrip())
    if body := operation.get("requestBody"):
        ((media, content),) = body["content"].items()
        lines.append(f"- body: {_kind(content['schema'])} as `{media}`{'' if body['required'] else ', optional'}")
        if "example" in content:
            lines += ["", "```json", _json(content["example"]), "```", ""]
    lines += [_answer(spec, status, answer) for status, answer in operation["responses"].items()]
    return "\n".join(lines) + "\n"


def _answer(spec: dict[str, Any], status: str, answer: dict[str, Any]) -> str:
    if "$ref" in answer:
        name = answer["$ref"].rsplit("/", 1)[-1]
        ((_, content),) = spec["components"]["responses"][name]["content"].items()
        return f"- `{status}` {', '.join(f'`{code}`' for code in content['examples'])}"
    kinds = [
        _kind(content.get("schema", {"type": "string"})) + ("" if media == "application/json" else f" as `{media}`")
        for media, content in answer.get("content", {}).items()
    ]
    return f"- **`{status}`** {''.join(kinds)}{': ' if kinds else ''}{answer['description']}"


def _object(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}", "", schema["description"], ""]
    required = schema.get("required", ())
    for key, value in schema["properties"].items():
        more = "" if key in required else ", optional"
        text = f" {value['description']}" if "description" in value else ""
        lines.append(f"- `{key}`: {_kind(value)}{_bounds(value)}{more}.{text}")
    return "\n".join(lines) + "\n"


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "allOf" in schema:
        if "allOf" in schema:
            own, more = schema["allOf"]
            return f"{_kind(own)}, perhaps with {', '.join(f'`{name}`' for name in more['properties'])}"
        return " or ".join(_kind(member) for member in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{_json(value)}`" for value in schema.get("enum", [schema.get("const")]))
    types = schema.get("type", "anything")
    names = types if isinstance(types, list) else [types]
    return " or ".join(_named(name, schema) for name in names)


def _named(name: str, schema: dict[str, Any]) -> str:
    if name == "array":
        return f"list of {_kind(schema['items'])}"
    if name == "object" and "items" in schema.get("properties", {}):
        return f"page of {_kind(schema['properties']['items']['items'])}"
    if name == "string" and "contentEncoding" in schema:
        return "base64"
    return str(schema.get("format", name)) if name == "string" else name


def _bounds(schema: dict[str, Any]) -> str:
    found = []
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if least in schema and most in schema:
            found.append(f"{schema[least]:,} to {schema[most]:,}{unit}")
        elif most in schema:
            found.append(f"at most {schema[most]:,}{unit}")
        elif least in schema:
            found.append(f"at least {schema[least]:,}{unit}")
    return f", {', '.join(found)}" if found else ""


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if isinstance(value, dict) else 0).decode()


def sockets_page() -> str:
    """The frames as Markdown."""
    schemas = Schemas()
    parts = [_SOCKETS_HEAD, "## The chat\n"]
    parts.append(f"Requests run one at a time, in order; {MAX_WAITING} may wait, one more is `overloaded`.\n")
    parts += [_frame(schemas, "client", cls) for cls in chat_frames.CLIENT_FRAMES]
    parts += [_frame(schemas, "server", cls) for cls in chat_frames.SERVER_FRAMES]
    parts.append("## Changes of records\n")
    parts += [_frame(schemas, "server", cls) for cls in change_frames.SERVER_FRAMES]
    return "\n".join(parts)


def _frame(schemas: Schemas, sender: str, cls: type) -> str:
    is_answer = sender == "server"
    name = schemas.of(cls, answer=is_answer)["$ref"].rsplit("/", 1)[-1]
    schema = schemas.components[name]
    kind = schema["properties"].get("type", {}).get("const")
    lines = [f"### {sender}: {f'`{kind}`' if kind else 'a request'}", "", schema["description"], ""]
    for key, value in schema["properties"].items():
        if key != "type":
            text = _kind(value).replace("](#", "](api.md#")
            lines.append(
                f"- `{key}`: {text}{_bounds(value)}{'' if key in schema.get('required', ()) else ', optional'}."
            )
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text)
        print(f"docs/{name} is written.")
