"""``GET /api/v1/openapi.json``, and for developers ``GET /docs``."""

import base64
import hashlib
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

from aiohttp import hdrs, web
from attrs import frozen

from adiuva.web import wire
from adiuva.web.assets import Asset, send_asset, send_page
from adiuva.web.describe import JSON, Answer
from adiuva.web.openapi.document import make_document
from adiuva.web.routes import Route, Routes


@frozen
class Reference:
    """The document of an application's routes, made when it is first asked for, and kept as bytes."""

    routes: Routes
    version: str

    @cached_property
    def asset(self) -> Asset:
        """The document."""
        return Asset(wire.dump(make_document(self.routes, self.version)), JSON)


REFERENCE = web.AppKey("reference", Reference)


async def get_document(request: web.Request) -> web.Response:
    """This document."""
    return send_asset(request, request.app[REFERENCE].asset)


async def get_page(request: web.Request) -> web.Response:
    """A page on which these calls can be read and tried."""
    text, policy = _page()
    return send_page(request, Asset(text.encode(), "text/html; charset=utf-8"), policy)


def _page() -> tuple[str, str]:
    """The page with its style and script in it, and the policy under which nothing else runs."""
    folder = files(__package__)
    page, style, script = (folder.joinpath(f"page.{kind}").read_text() for kind in ("html", "css", "js"))
    policy = f"script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'"
    return page.replace("/*style*/", style).replace("/*script*/", script), policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_OBJECT: Final[dict[str, Any]] = {"type": "object", "required": ["openapi", "info", "paths"]}

ROUTES = [
    Route(
        "GET",
        "/openapi.json",
        get_document,
        access="public",
        limit=None,
        answers={
            200: Answer(
                _OBJECT,
                headers=(hdrs.ETAG,),
                example={"openapi": "3.1.1", "info": {"title": "Adiuva", "version": "0.1.0"}, "paths": {}},
            ),
            304: Answer(headers=(hdrs.ETAG,)),
        },
    ),
]
PAGE_ROUTES = [
    Route(
        "GET",
        "/docs",
        get_page,
        access="public",
        limit=None,
        answers={200: Answer({"type": "string"}, media_type="text/html")},
    ),
]
