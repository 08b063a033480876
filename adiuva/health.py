"""Health: whether the process lives, and whether it can do its work."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from aiohttp import web
from attrs import frozen

from adiuva import __version__
from adiuva.web.describe import Answer
from adiuva.web.keys import LEAVING
from adiuva.web.responses import json_response
from adiuva.web.routes import Route

CHECK_SECONDS: Final = 5.0
Check = Callable[[], Awaitable[str]]  # gives "ok", or a few words on what is wrong
CHECKS: web.AppKey[Mapping[str, Check]] = web.AppKey("health_checks", Mapping)


@frozen(kw_only=True)
class Health:
    """The process lives."""

    status: Literal["ok"] = "ok"
    version: str


@frozen(kw_only=True)
class Readiness:
    """What the server needs, by name: ``ok``, or a few words on what is wrong."""

    status: Literal["ok", "unavailable"]
    checks: Mapping[str, str]


async def health(_: web.Request) -> web.Response:
    """The process lives."""
    return json_response(Health(version=__version__))


async def ready(request: web.Request) -> web.Response:
    """Each thing that the server needs, and whether it is there; all are asked at once. One that stops is not ready."""
    if request.app[LEAVING].begun:
        return json_response(Readiness(status="unavailable", checks={"server": "stopping"}), status=503)
    checks = request.app[CHECKS]
    answers = await asyncio.gather(*(_outcome(check) for check in checks.values()))
    well = all(answer == "ok" for answer in answers)
    found = Readiness(status="ok" if well else "unavailable", checks=dict(zip(checks, answers, strict=True)))
    return json_response(found, status=200 if well else 503)


async def _outcome(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return "does not answer"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not well
        return type(error).__name__


def folder_check(folder: Path) -> Check:
    """Whether files can be written below ``folder``."""

    async def check() -> str:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        return "ok" if os.access(nearest, os.W_OK | os.X_OK) else "cannot be written"

    return check


_CHECKED = dict.fromkeys(("database", "blobs", "vectors", "agents"), "ok")
_READY = {"status": "ok", "checks": _CHECKED}
_UNREADY = {"status": "unavailable", "checks": {**_CHECKED, "blobs": "does not answer"}}

ROUTES = [
    Route("GET", "/health", health, access="public", limit=None, answers={200: Answer(Health)}),
    Route(
        "GET",
        "/health/ready",
        ready,
        access="public",
        limit=None,
        answers={200: Answer(Readiness, example=_READY), 503: Answer(Readiness, example=_UNREADY)},
    ),
]
