"""``POST /mcp``: MCP's streamable HTTP, of which only the part without streams and sessions is needed."""

from typing import Any, Final

from aiohttp import web

from adiuva import __version__
from adiuva.chat.errors import CHAT_ERRORS
from adiuva.chat.service import CHAT
from adiuva.doors.mcp.jsonrpc import (
    HANDSHAKE_VERSIONS,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_HEADER,
    METHOD_NOT_FOUND,
    MODERN_VERSIONS,
    NAME_HEADER,
    PARSE_ERROR,
    SERVER_ERROR,
    UNSUPPORTED_VERSION,
    VERSION_HEADER,
    Call,
    RpcError,
    is_modern,
    read_call,
)
from adiuva.doors.mcp.tools import INSTRUCTIONS, Tools
from adiuva.errors import AdiuvaError, InvalidRequestError, OriginNotAllowedError, ValidationFailedError
from adiuva.web.access import PRINCIPAL
from adiuva.web.cors import require_origin
from adiuva.web.describe import Answer, Body, ErrorForm, Parameter
from adiuva.web.disconnect import cancelled_on_disconnect
from adiuva.web.middleware import REQUEST_ID
from adiuva.web.problems import reshaped
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

SERVER = {"name": "adiuva", "title": "Adiuva", "version": __version__}
CAPABILITIES: dict[str, Any] = {"tools": {}}
COMPLETE = {"resultType": "complete"}  # modern clients want it, older ones ignore it
UNCACHED = {"ttlMs": 0, "cacheScope": "private"}


async def post_message(request: web.Request) -> web.Response:
    """Answer one message of an MCP client; a client that goes away stops the work."""
    require_origin(request)
    message = await read_json(request, Any)
    call_id = message.get("id") if isinstance(message, dict) else None
    try:
        call = read_call(message, request.headers)
        if call.id is None:
            return web.Response(status=202)
        with cancelled_on_disconnect(request):
            result = await _answer(call, Tools(chat=request.app[CHAT], principal=request[PRINCIPAL]))
    except RpcError as error:
        return json_response(error.body(_echoed(call_id)), status=_status(error, message, request))
    return json_response({"jsonrpc": "2.0", "id": call.id, "result": result})


def _status(error: RpcError, message: Any, request: web.Request) -> int:
    """Before 2026-07-28 an error is an answer as any other, unless nothing was asked that could be answered."""
    if is_modern(message, request.headers) or error.code in (INVALID_REQUEST, UNSUPPORTED_VERSION):
        return error.status
    return 200


async def _answer(call: Call, tools: Tools) -> dict[str, Any]:
    match call.method:
        case "initialize" if not call.modern:
            asked = call.params.get("protocolVersion")
            version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
            return {"protocolVersion": version, **_introduction(), "serverInfo": SERVER}
        case "server/discover" if call.modern:
            meta = {"io.modelcontextprotocol/serverInfo": SERVER}
            versions = {"supportedVersions": list(MODERN_VERSIONS)}
            return {**versions, **_introduction(), **COMPLETE, **UNCACHED, "_meta": meta}
        case "ping":
            return COMPLETE if call.modern else {}
        case "tools/list":
            return {"tools": tools.listed(), **COMPLETE, **UNCACHED}
        case "tools/call":
            return {**await tools.call(call.params), **COMPLETE}
    raise RpcError(METHOD_NOT_FOUND, f"There is no method {call.method[:100]!r} here.")


def _introduction() -> dict[str, Any]:
    return {"capabilities": CAPABILITIES, "instructions": INSTRUCTIONS}


def _echoed(call_id: Any) -> str | int | None:
    return call_id if isinstance(call_id, str | int) and not isinstance(call_id, bool) else None


def answer_error(request: web.Request, error: Exception) -> web.Response:
    """What kept a message from being read or answered: status and headers as a problem's, the body JSON-RPC's."""
    return reshaped(error, request[REQUEST_ID], _body_of)


def _body_of(error: AdiuvaError) -> dict[str, Any]:
    code = INTERNAL_ERROR if error.code == "internal_error" else SERVER_ERROR
    if type(error) is InvalidRequestError:
        code = PARSE_ERROR
    return RpcError(code, error.message, {"code": error.code}).body(None)


def _example(cls: type[AdiuvaError]) -> dict[str, Any]:
    return _body_of(cls([("body", "is missing")]) if issubclass(cls, ValidationFailedError) else cls())


_ID: Final = {"type": ["string", "integer", "null"]}
_MESSAGE: Final = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {**_ID, "description": "Of a request; a notification has none."},
        "method": {"type": "string"},
        "params": {"type": "object"},
    },
    "required": ["jsonrpc", "method"],
}
_ERROR: Final = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": _ID,
        "error": {
            "type": "object",
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {"type": "object"}},
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "id", "error"],
}
_RESULT: Final = {
    "type": "object",
    "properties": {"jsonrpc": {"const": "2.0"}, "id": _ID, "result": {"type": "object"}},
    "required": ["jsonrpc", "id", "result"],
}
_UNKNOWN: Final = RpcError(METHOD_NOT_FOUND, "There is no method 'prompts/list' here.").body(1)

ROUTES = [
    Route(
        "POST",
        "",
        post_message,
        parameters=tuple(
            Parameter(name, {"type": "string"}, where="header", text="As MCP has it.")
            for name in (VERSION_HEADER, METHOD_HEADER, NAME_HEADER)
        ),
        body=Body(_MESSAGE, {"jsonrpc": "2.0", "id": 1, "method": "ping"}),
        answers={
            200: Answer(
                {"anyOf": [_RESULT, _ERROR]},
                text="A result; before 2026-07-28, also an error.",
                example={"jsonrpc": "2.0", "id": 1, "result": {}},
            ),
            202: Answer(text="A notification has come."),
            404: Answer(_ERROR, text="From 2026-07-28 on: there is no such method.", example=_UNKNOWN),
        },
        errors=(OriginNotAllowedError, *CHAT_ERRORS),
        error_form=ErrorForm(name="mcp", schema=_ERROR, example=_example),
    )
]
