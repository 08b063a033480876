"""Billing over HTTP: what each tier holds. Prices are the operator's and not told here."""

from typing import Any

import attrs
from aiohttp import web

from adiuva.tiers import TIERS
from adiuva.web.keys import SETTINGS
from adiuva.web.responses import json_response
from adiuva.web.routes import Route


async def list_tiers(request: web.Request) -> web.Response:
    """What each tier holds, from the smallest to the largest; null is "without a limit"."""
    limits = request.app[SETTINGS].rate_limits
    return json_response({"items": [_tier(name, limits[name]) for name in TIERS]})


def _tier(name: str, requests_per_minute: int) -> dict[str, Any]:
    return {"tier": name, **attrs.asdict(TIERS[name]), "requests_per_minute": requests_per_minute}


ROUTES = [
    Route("GET", "/billing/tiers", list_tiers, access="public"),
]
