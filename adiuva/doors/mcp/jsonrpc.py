"""JSON-RPC 2.0 as MCP has it over HTTP: one message a request, one answer, and no session.

Revisions up to 2025-11-25 begin with a handshake; from 2026-07-28 on each request says in its ``_meta`` and in headers
what it needs (https://modelcontextprotocol.io/specification). The server keeps nothing between two requests of either.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

HANDSHAKE_VERSIONS: Final = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS: Final = ("2026-07-28",)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
VERSION_HEADER: Final = "MCP-Protocol-Version"
METHOD_HEADER: Final = "Mcp-Method"
NAME_HEADER: Final = "Mcp-Name"

_STATUS: Final = {PARSE_ERROR: 400, INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404, INVALID_PARAMS: 400}


class RpcError(Exception):
    """A request that is answered with an error; ``status`` is what HTTP says of it where the revision is modern."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    @property
    def status(self) -> int:
        """The HTTP status of a modern answer."""
        return _STATUS.get(self.code, 400)

    def body(self, request_id: Any) -> dict[str, Any]:
        """The answer to the request with this id."""
        data = {} if self.data is None else {"data": self.data}
        error = {"code": self.code, "message": self.message, **data}
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


@frozen(kw_only=True)
class Call:
    """One message of a client. ``id`` is None for a notification, which has no answer."""

    id: str | int | None
    method: str
    params: dict[str, Any] = field(repr=False)
    modern: bool


def read_call(message: Any, headers: Mapping[str, str]) -> Call:
    """The call that ``message`` is.

    Raises:
        RpcError: it is none, or says one thing in its headers and another in its body.
    """
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "The body is one JSON-RPC 2.0 message.")
    method, params, call_id = message.get("method"), message.get("params", {}), message.get("id")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "A message has a method, and params that are an object.")
    if "id" in message and (isinstance(call_id, bool) or not isinstance(call_id, str | int)):
        raise RpcError(INVALID_REQUEST, "An id is a string or a whole number.")
    call = Call(id=call_id, method=method, params=params, modern=is_modern(message, headers))
    if call.modern:
        _check_envelope(call, headers)
    elif (version := headers.get(VERSION_HEADER)) is not None and version not in HANDSHAKE_VERSIONS:
        raise _unsupported(version)
    return call


def is_modern(message: Any, headers: Mapping[str, str]) -> bool:
    """Whether a message is of a revision without a handshake."""
    params = message.get("params") if isinstance(message, dict) else None
    meta = params.get("_meta") if isinstance(params, dict) else None
    return headers.get(VERSION_HEADER) in MODERN_VERSIONS or (isinstance(meta, dict) and VERSION_KEY in meta)


def _check_envelope(call: Call, headers: Mapping[str, str]) -> None:
    if call.id is None:
        return  # a notification, which is dropped
    meta = call.params.get("_meta")
    if not isinstance(meta, dict) or not isinstance(meta.get(VERSION_KEY), str) or CAPABILITIES_KEY not in meta:
        raise RpcError(INVALID_PARAMS, f"params._meta needs {VERSION_KEY} and {CAPABILITIES_KEY}.")
    wanted = {VERSION_HEADER: meta[VERSION_KEY], METHOD_HEADER: call.method}
    if call.method == "tools/call" and isinstance(call.params.get("name"), str):
        wanted[NAME_HEADER] = call.params["name"]
    for header, value in wanted.items():
        if _decoded(headers.get(header)) != value:
            raise RpcError(HEADER_MISMATCH, f"The header {header} and the body do not say the same.")
    if meta[VERSION_KEY] not in MODERN_VERSIONS:
        raise _unsupported(meta[VERSION_KEY])


def _decoded(value: str | None) -> str | None:
    """A header's value; what a header cannot hold comes in base64."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _unsupported(version: str) -> RpcError:
    supported = {"supported": [*HANDSHAKE_VERSIONS, *MODERN_VERSIONS], "requested": version}
    return RpcError(UNSUPPORTED_VERSION, "This revision of MCP is not spoken here.", supported)
