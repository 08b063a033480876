"""The headers of requests and answers that the document tells of."""

from typing import Any, Final

from aiohttp import hdrs

from adiuva.web.problems import X_REQUEST_ID

_CHECKSUM: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT: Final = {"type": "integer", "minimum": 0}


def _header(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "schema": schema}


RATE_LIMIT: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

_DESCRIBED: Final[dict[str, dict[str, Any]]] = {
    X_REQUEST_ID: _header("The request's id: the one that it came with, or a new one.", {"type": "string"}),
    "RateLimit-Limit": _header("Requests a minute.", _COUNT),
    "RateLimit-Remaining": _header("How many of them are left.", _COUNT),
    "RateLimit-Reset": _header("Seconds until there is room for one more than now.", _COUNT),
    hdrs.RETRY_AFTER: _header("Seconds after which it is worth trying again.", {"type": "integer", "minimum": 1}),
    hdrs.WWW_AUTHENTICATE: _header("How to authenticate.", {"type": "string", "const": "Bearer"}),
    hdrs.ALLOW: _header("The methods that there are.", {"type": "string"}),
    hdrs.ETAG: _header("The quoted checksum.", {"type": "string"}),
    hdrs.LAST_MODIFIED: _header("As an HTTP date.", {"type": "string"}),
    hdrs.ACCEPT_RANGES: _header("Parts may be asked for.", {"type": "string", "const": "bytes"}),
    hdrs.CONTENT_RANGE: _header("Which bytes of how many these are.", {"type": "string"}),
    "X-Checksum": _header("SHA-256 of the bytes, in lower-case hex.", _CHECKSUM),
    "X-Backup-Checksum": _header("SHA-256 of the bytes, in lower-case hex.", _CHECKSUM),
    "X-Backup-Version": _header("What the client calls the backup's version.", {"type": "string", "maxLength": 64}),
    "X-Backup-Timestamp": _header("When the backup was taken.", {"type": "string", "format": "date-time"}),
}

HEADERS: Final = {str(name): header for name, header in _DESCRIBED.items()}  # aiohttp's names are no plain strings


def references(*names: str) -> dict[str, dict[str, str]]:
    """The headers of an answer, each where the document has it."""
    return {str(name): {"$ref": f"#/components/headers/{name}"} for name in names}
