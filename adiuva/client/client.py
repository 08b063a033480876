"""The client: accounts, the agents over the socket, and the way to the vault with the user's encrypted data."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Any

import aiohttp
import orjson

from adiuva.client.connection import Connection
from adiuva.client.errors import CannotConnectError, PassphraseIsPasswordError
from adiuva.client.lock import Cost
from adiuva.client.vault import Vault
from adiuva.errors import AdiuvaError

LAST_FRAMES = frozenset({"done", "error", "cancelled"})
MAX_SENT_BYTES = 1024 * 1024  # the server closes the socket on a larger frame

Tools = Callable[[str, dict[str, Any]], Any]
"""Runs a read tool on the client's own data: name and arguments to result. It may raise `AdiuvaError`."""


class Client(Connection):
    """One user at one server; use it as an async context manager."""

    def __init__(self, url: str, *, patience: float = 0) -> None:
        """As a ``Connection``."""
        super().__init__(url, patience=patience)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._mark_key = secrets.token_bytes()
        self._password_mark = b""

    async def register(self, email: str, password: str) -> None:
        """Make an account and log in to it."""
        self._tokens = await self.call("POST", "/auth/register", {"email": email, "password": password})
        self._password_mark = self._mark(password)

    async def login(self, email: str, password: str) -> None:
        """Log in."""
        self._tokens = await self.call("POST", "/auth/login", {"email": email, "password": password})
        self._password_mark = self._mark(password)

    async def me(self) -> dict[str, Any]:
        """Who is logged in."""
        return await self.call("GET", "/auth/me")

    async def unlock(self, passphrase: str, *, cost: Cost | None = None, newest_key: int = 0) -> Vault:
        """The user's encrypted data; the keys are made where there are none yet.

        Args:
            passphrase: What locks the keys. It never leaves this machine, and nobody can bring it back.
            cost: What a guess at the passphrase shall take, where the keys are made now.
            newest_key: The ``Vault.newest_key`` that this device has seen, where it has seen one.

        Raises:
            WrongPassphraseError: It is not the one that the keys are locked with.
            RolledBackError: The server gives older keys than that, or none.
            PassphraseIsPasswordError: The server sees the password, so it must not be the passphrase.
        """
        if compare_digest(self._mark(passphrase), self._password_mark):
            raise PassphraseIsPasswordError
        return await Vault.open(self, passphrase, cost or Cost(), newest_key)

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
        # A socket a message: one kept open between them would have to be read all the time, to answer pings.
        async with await self.connect("/chat/stream") as socket:
            self._socket = socket
            await _send_frame(socket, orjson.dumps(request))
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break
                content = orjson.loads(frame.data)
                if tools and content.get("type") == "tool_call":
                    await _send_frame(socket, _tool_result(content, tools))
                yield content
                if content.get("type") in LAST_FRAMES:
                    return
        raise CannotConnectError(f"The server closed the connection ({socket.close_code}).")

    async def cancel(self) -> None:
        """Stop the request that runs; its last frame will be ``cancelled``, unless it was done already."""
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str('{"type":"cancel"}')

    def _mark(self, password: str) -> bytes:
        return hashlib.blake2b(password.encode(), key=self._mark_key).digest()


async def _send_frame(socket: aiohttp.ClientWebSocketResponse, frame: bytes) -> None:
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
