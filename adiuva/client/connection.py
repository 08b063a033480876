"""The way to the server: tokens, errors, and waiting where the server asks for it."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import stamina
from attrs import frozen

from adiuva.client.errors import CannotConnectError, ServerError

API = "/api/v1"
# Of silence: how long a backup takes is nobody's business.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=300)
MAX_FRAME_BYTES = 4 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
TOKEN_REFUSED = frozenset({"unauthorized", "invalid_token"})

# Made anew for each try: after a token was renewed, or the server has asked to wait.
Body = Callable[[], bytes | AsyncIterable[bytes]]


@frozen(kw_only=True)
class Call:
    """One request under the API's path."""

    method: str
    path: str
    body: Body | None = None
    headers: Mapping[str, str] = {}
    params: Mapping[str, str | int] = {}


@frozen(kw_only=True)
class Answer:
    """A success, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The object that it is; empty where it has no content."""
        return _object(self.content)


class Connection:
    """One user's way to one server; use it as an async context manager."""

    def __init__(self, url: str, *, patience: float = 0) -> None:
        """Nothing is sent yet.

        Args:
            url: The server's root, such as ``http://127.0.0.1:8000``.
            patience: How many seconds to go on for where the server refuses a request for now, and says for how long.
        """
        self._root = url.rstrip("/")
        self._patience = patience
        self._tokens: dict[str, Any] = {}
        self._http: aiohttp.ClientSession | None = None
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Open the HTTP session."""
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        if self._http is not None:
            await self._http.close()

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API with JSON; a token that has expired is renewed once.

        Raises:
            ServerError: the server answered with a problem.
            CannotConnectError: there is no server, or it went away.
        """
        if body is None:
            return (await self.send(Call(method=method, path=path))).json()
        data = orjson.dumps(body)
        return (await self.send(Call(method=method, path=path, body=lambda: data, headers=JSON))).json()

    async def send(self, call: Call) -> Answer:
        """The whole answer to ``call``; raises as ``call`` does."""
        async with self.stream(call) as answer:
            return Answer(status=answer.status, headers=answer.headers, content=await answer.read())

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to ``call``: a success, or 304, whose content is still to be read; raises as ``call`` does."""
        async with await self._patiently(call) as answer:
            with self._connected():
                yield answer

    async def _patiently(self, call: Call) -> aiohttp.ClientResponse:
        patience = self._patience or None
        async for attempt in stamina.retry_context(on=self._wait, attempts=None if patience else 1, timeout=patience):
            with attempt:
                return await self._authorized(call)
        raise AssertionError  # stamina gives the answer or the last error

    def _wait(self, error: Exception) -> float | bool:
        """Refused for now, and so not done: as long as the server says."""
        if not isinstance(error, ServerError) or error.retry_after is None or error.retry_after > self._patience:
            return False
        return error.retry_after

    async def _authorized(self, call: Call) -> aiohttp.ClientResponse:
        used = self._tokens
        try:
            return await self._send(call, used)
        except ServerError as error:
            if error.server_code not in TOKEN_REFUSED or "refresh_token" not in used:
                raise
        async with self._renewing:
            if self._tokens is used:  # no other call has renewed them meanwhile
                await self._renew(used["refresh_token"])
        return await self._send(call, self._tokens)

    async def _renew(self, refresh_token: str) -> None:
        body = orjson.dumps({"refresh_token": refresh_token})
        call = Call(method="POST", path="/auth/refresh", body=lambda: body, headers=JSON)
        try:
            async with await self._send(call, {}) as answer:
                self._tokens = _object(await answer.read())
        except ServerError:
            self._tokens = {}
            raise

    async def connect(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """Open a socket; raises as ``call`` does."""
        used = self._tokens
        try:
            return await self._upgrade(path, used)
        except ServerError:
            if "refresh_token" not in used:
                raise
        async with self._renewing:
            if self._tokens is used:
                await self._renew(used["refresh_token"])
        return await self._upgrade(path, self._tokens)

    async def _upgrade(self, path: str, tokens: Mapping[str, Any]) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._session.ws_connect(
                f"{self._root}{API}{path}", headers=_bearer(tokens), max_msg_size=MAX_FRAME_BYTES
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise ServerError("unauthorized", "You are not logged in.") from error
            raise CannotConnectError(f"No socket at {self._root}: HTTP {error.status}.") from error
        except aiohttp.ClientError as error:
            raise CannotConnectError(f"No socket at {self._root}.") from error

    async def _send(self, call: Call, tokens: Mapping[str, Any]) -> aiohttp.ClientResponse:
        headers = {**call.headers, **_bearer(tokens)}
        with self._connected():
            answer = await self._session.request(
                call.method,
                f"{self._root}{API}{call.path}",
                data=call.body() if call.body else None,
                headers=headers,
                params=call.params,
            )
            if answer.ok:
                return answer
            async with answer:
                problem = _object(await answer.read())
        retry_after = answer.headers.get("Retry-After", "")
        raise ServerError(
            problem.get("code", "unknown"),
            problem.get("detail", f"HTTP {answer.status}"),
            retry_after=float(retry_after) if retry_after.isdecimal() else None,
        )

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.ClientError as error:  # its timeouts, too
            msg = f"No server answers at {self._root}."
            raise CannotConnectError(msg) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            msg = "use the client as an async context manager"
            raise RuntimeError(msg)
        return self._http


def _bearer(tokens: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"} if "access_token" in tokens else {}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        content = {}
    return content if isinstance(content, dict) else {}
