"""``GET /`` and what the page is made of."""

from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

from adiuva.errors import NotFoundError
from adiuva.web.assets import Asset, send_guarded, send_page
from adiuva.web.describe import Answer
from adiuva.web.routes import Route

INDEX: Final = "index.html"
MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

# 'self' is also the socket's address. With trusted types a script cannot make HTML of a text, not even by mistake.
POLICY: Final = (
    "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


async def get_page(request: web.Request) -> web.Response:
    """The page for those who run or try the server."""
    return send_page(request, _assets()[INDEX], POLICY)


async def get_file(request: web.Request) -> web.Response:
    """A file of the page."""
    asset = _assets().get(request.match_info["name"])
    if asset is None:
        raise NotFoundError
    return send_guarded(request, asset)


@cache
def _assets() -> dict[str, Asset]:
    found = files(__package__).joinpath("files").iterdir()
    return {file.name: Asset(file.read_bytes(), MEDIA_TYPES[file.name.rpartition(".")[2]]) for file in found}


_CACHED: Final = (hdrs.ETAG,)

ROUTES = [
    Route(
        "GET",
        "/",
        get_page,
        access="public",
        answers={
            200: Answer({"type": "string"}, media_type="text/html", headers=_CACHED),
            304: Answer(headers=_CACHED),
        },
    ),
    Route(
        "GET",
        "/page/{name}",
        get_file,
        access="public",
        answers={
            200: Answer({"type": "string"}, media_type="*/*", headers=_CACHED),
            304: Answer(headers=_CACHED),
        },
    ),
]
