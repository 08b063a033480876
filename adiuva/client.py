"""A client of the server: log in, and talk to the agents over the socket. The terminal and the demo use it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from adiuva.errors import AdiuvaError

API = "/api/v1"
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_SENT_BYTES = 1024 * 1024  # the server closes the socket on a larger frame
LAST_FRAMES = frozenset({"done", "error", "cancelled"})

Tools = Callable[[str, dict[str, Any]], Any]
"""Runs a read tool on the client's own data: name and arguments to result. It may raise `AdiuvaError`."""


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
        token = self._access_token
        try:
            return await self._call(method, path, body, token)
        except ServerError as error:
            if error.server_code not in ("unauthorized", "invalid_token") or not token:
                raise
        await self._renew()
        return await self._call(method, path, body, self._access_token)

    @property
    def _access_token(self) -> str:
        return str(self._tokens.get("access_token", ""))

    async def _renew(self) -> None:
        self._tokens = await self._call("POST", "/auth/refresh", {"refresh_token": self._tokens["refresh_token"]})

    async def _call(self, method: str, path: str, body: object, token: str = "") -> dict[str, Any]:
        headers = _bearer(token)
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
        tools: Tools | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Ask, and give the server's frames as they come, up to and with the last one: done, error or cancelled.

        With ``tools`` the agents' read tools run here; the frame of each such call is given once it is answered.

        Raises:
            ServerError: the login does not hold any more.
            CannotConnectError: there is no server, or it closed the socket.
        """
        request: dict[str, Any] = {"message": message, "context": context or {}, "history": list(history)}
        if agents:
            request["agents"] = list(agents)
        if model:
            request["model"] = model
        if tools:
            request["client_tools"] = True
        async with await self._open() as socket:
            self._socket = socket
            await _send(socket, orjson.dumps(request))
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                content = orjson.loads(frame.data)
                if tools and content.get("type") == "tool_call":
                    await _send(socket, _tool_result(content, tools))
                yield content
                if content.get("type") in LAST_FRAMES:
                    return
        msg = f"The server closed the connection ({socket.close_code})."
        raise CannotConnectError(msg)

    async def cancel(self) -> None:
        """Stop the request that runs; its last frame will be ``cancelled``, unless it was done already."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str('{"type":"cancel"}')

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        # A socket a message: one kept open between them would have to be read all the time, to answer pings.
        try:
            return await self._upgrade()
        except ServerError:
            if not self._tokens:
                raise
        await self._renew()
        return await self._upgrade()

    async def _upgrade(self) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._session.ws_connect(
                f"{self._root}{API}/chat/stream", headers=_bearer(self._access_token), max_msg_size=MAX_FRAME_BYTES
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise ServerError("unauthorized", "You are not logged in.") from error
            raise CannotConnectError(f"No socket at {self._root}: HTTP {error.status}.") from error
        except aiohttp.ClientError as error:
            raise CannotConnectError(f"No socket at {self._root}.") from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            msg = "use the client as an async context manager"
            raise RuntimeError(msg)
        return self._http


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _send(socket: aiohttp.ClientWebSocketResponse, frame: bytes) -> None:
    # Where the server has closed already, reading tells why.
    with suppress(ConnectionError):
        await socket.send_str(frame.decode())


def _tool_result(call: dict[str, Any], tools: Tools) -> bytes:
    answer = {"type": "tool_result", "id": call["id"]}
    try:
        frame = orjson.dumps(answer | {"result": tools(call["action"], call["params"])})
    except AdiuvaError as error:
        return orjson.dumps(answer | {"error": error.message})
    return frame if len(frame) <= MAX_SENT_BYTES else orjson.dumps(answer | {"error": "Too much: ask for less."})


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        content = {}
    return content if isinstance(content, dict) else {}
