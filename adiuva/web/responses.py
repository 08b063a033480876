"""JSON answers."""

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from adiuva.web import wire

_JSON: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json"}


def json_response(obj: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """``obj`` as JSON; attrs objects become objects of their fields."""
    return web.Response(body=wire.dump(obj), status=status, headers=_JSON if headers is None else {**_JSON, **headers})
