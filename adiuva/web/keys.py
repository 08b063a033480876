"""What the application carries for its handlers."""

from typing import TYPE_CHECKING

from aiohttp import web

from adiuva.web.limits import Limiter

if TYPE_CHECKING:
    from adiuva.database import Database
    from adiuva.settings import Settings

SETTINGS: web.AppKey["Settings"] = web.AppKey("settings")
DATABASE: web.AppKey["Database"] = web.AppKey("database")
LIMITER = web.AppKey("limiter", Limiter)
