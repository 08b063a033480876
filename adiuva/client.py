"""A client of the server: log in, and talk to the agents over the socket. The terminal and the demo use it."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from adiuva.errors import AdiuvaError

API = "/api/v1"
MAX_FRAME_BYTES = 4 * 1024 * 1024
LAST_FRAMES = frozenset({"done", "error", "cancelled"})


class ServerError(AdiuvaError):
    """The server refused a request."""

    def __init__(self, code: str, message: str) -> None:
        """``code`` is the server's own stable word for what is wrong."""
        super().__init__(message)
        self.server_code = code


class CannotConnectError(AdiuvaError):
    """The server cannot be reached."""

    code = "cannot_connect"


class Client:
    """One user at one server; use it as an async context manager."""

    def __init__(self, url: str) -> None:
        """``url`` is the server's root, such as ``http://127.0.0.1:8000``."""
        self._root = url.rstrip("/")
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tokens: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Open the HTTP session."""
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        if self._http is not None:
            await self._http.close()

    async def register(self, email: str, password: str) -> None:
        """Make an account and log in to it."""
        self._tokens = await self.call("POST", "/auth/register", {"email": email, "password": password})

    async def login(self, email: str, password: str) -> None:
        """Log in."""
        self._tokens = await self.call("POST", "/auth/login", {"email": email, "password": password})

    async def me(self) -> dict[str, Any]:
        """Who is logged in."""
        return await self.call("GET", "/auth/me")

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API with JSON; a token that has expired is renewed once.

        Raises:
            ServerError: the server answered with a problem.
            CannotConnectError: there is no server, or it went away.
        """
        try:
            return await self._call(method, path, body)
        except ServerError as error:
            if error.server_code not in ("unauthorized", "invalid_token") or "refresh_token" not in self._tokens:
                raise
        refresh = {"refresh_token": self._tokens["refresh_token"]}
        self._tokens = {}
        self._tokens = await self._call("POST", "/auth/refresh", refresh)
        return await self._call(method, path, body)

    async def _call(self, method: str, path: str, body: object) -> dict[str, Any]:
        headers = {}
        if token := self._tokens.get("access_token"):
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), "application/json"
        try:
            async with self._session.request(method, f"{self._root}{API}{path}", data=data, headers=headers) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            msg = f"No server answers at {self._root}."
            raise CannotConnectError(msg) from error
        content = _object(raw)
        if not answer.ok:
            raise ServerError(content.get("code", "unknown"), content.get("detail", f"HTTP {answer.status}"))
        return content

    async def chat(
        self,
        message: str,
        *,
        context: dict[str, Any] | None = None,
        history: Sequence[dict[str, str]] = (),
        agents: Sequence[str] | None = None,
        model: str | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Ask, and give the server's frames as they come, up to and with the last one: done, error or cancelled."""
        request: dict[str, Any] = {"message": message, "context": context or {}, "history": list(history)}
        if agents:
            request["agents"] = list(agents)
        if model:
            request["model"] = model
        async with await self._open() as socket:
            self._socket = socket
            await socket.send_str(orjson.dumps(request).decode())
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                content = orjson.loads(frame.data)
                yield content
                if content.get("type") in LAST_FRAMES:
                    return
        msg = "The server closed the connection."
        raise CannotConnectError(msg)

    async def cancel(self) -> None:
        """Stop the request that runs; its last frame will be ``cancelled``, unless it was done already."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str('{"type":"cancel"}')

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        # A socket a message: one kept open between them would have to be read all the time, to answer pings.
        ticket = (await self.call("POST", "/auth/ticket"))["ticket"]
        try:
            return await self._session.ws_connect(
                f"{self._root}{API}/chat/stream", params={"ticket": ticket}, max_msg_size=MAX_FRAME_BYTES
            )
        except aiohttp.ClientError as error:
            msg = f"No socket at {self._root}."
            raise CannotConnectError(msg) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            msg = "use the client as an async context manager"
            raise RuntimeError(msg)
        return self._http


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        content = {}
    return content if isinstance(content, dict) else {}
