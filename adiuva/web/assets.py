"""Files and pages for browsers: answered with an ETag, and pages under headers that let nothing else in."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from aiohttp import hdrs, web
from attrs import frozen

_NOTHING_ELSE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_GUARD: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@frozen
class Asset:
    """Bytes of a media type."""

    body: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """What tells these bytes from others."""
        return hashlib.sha256(self.body).hexdigest()


def send_asset(request: web.Request, asset: Asset, headers: Mapping[str, str] | None = None) -> web.Response:
    """``asset``, or that the browser has it already: it asks each time, so that an upgrade shows at once."""
    told = {hdrs.ETAG: f'"{asset.etag}"', hdrs.CACHE_CONTROL: "no-cache", **(headers or {})}
    if any(tag.value in {"*", asset.etag} for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=told)
    return web.Response(body=asset.body, headers={**told, hdrs.CONTENT_TYPE: asset.media_type})


def send_guarded(request: web.Request, asset: Asset) -> web.Response:
    """What a page is made of: no browser takes it for anything else, and no other origin has a use for it."""
    return send_asset(request, asset, _GUARD)


def send_page(request: web.Request, asset: Asset, policy: str) -> web.Response:
    """A page that may do what ``policy`` says (Content Security Policy, level 3), and nothing else."""
    return send_asset(request, asset, {**_GUARD, "Content-Security-Policy": f"{_NOTHING_ELSE}; {policy}"})
