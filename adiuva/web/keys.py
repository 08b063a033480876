"""What the application carries for its handlers."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from attrs import define

from adiuva.web.limits import Limiter

if TYPE_CHECKING:
    from adiuva.database import Database
    from adiuva.settings import Settings


class Counting(Protocol):
    """Counts what clients ask for. Nothing of it may hold what a client wrote."""

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """One request was answered; ``route`` is its template, None where there is none."""
        ...

    def socket_request(self, outcome: str, seconds: float) -> None:
        """One request on a chat's socket has ended; ``outcome`` is the last frame's type, or its error's code."""
        ...


class SocketSpans(Protocol):
    """Makes each request on a socket a trace of its own."""

    def socket_request(self) -> AbstractContextManager[None]:
        """Around one request."""
        ...


@define
class Leaving:
    """Whether the server stops."""

    begun: bool = False  # it is not ready, and closes each connection with its next answer
    over: bool = False  # who is cancelled now has had the grace, and is to be told that the server goes away


SETTINGS: web.AppKey["Settings"] = web.AppKey("settings")
DATABASE: web.AppKey["Database"] = web.AppKey("database")
LIMITER = web.AppKey("limiter", Limiter)
LEAVING = web.AppKey("leaving", Leaving)
COUNTING: web.AppKey[Counting] = web.AppKey("counting")
SOCKET_SPANS: web.AppKey[SocketSpans] = web.AppKey("socket_spans")  # only there where traces are wanted
