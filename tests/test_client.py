"""The client that the terminal and the demo use, at a server of its own."""

import secrets
from collections.abc import Callable

import pytest

from adiuva.client import Client, ServerError
from adiuva.testing.serving import Served


async def test_a_token_that_has_expired_is_renewed_for_calls_and_for_the_socket(serve: Callable[..., Served]) -> None:
    async with Client(serve().url) as client:
        await client.register("ada@example.com", secrets.token_urlsafe())
        client._tokens["access_token"] = "expired"
        assert (await client.me())["email"] == "ada@example.com"
        client._tokens["access_token"] = "expired"
        frames = [frame async for frame in client.chat("Add a task 'A'")]
        assert frames[-1]["type"] == "done"
        assert client._tokens["access_token"] != "expired"


async def test_a_login_that_is_over_is_told(serve: Callable[..., Served]) -> None:
    async with Client(serve().url) as client:
        await client.register("ada@example.com", secrets.token_urlsafe())
        await client.call("POST", "/auth/logout", {"refresh_token": client._tokens["refresh_token"]})
        with pytest.raises(ServerError):
            [frame async for frame in client.chat("Hi")]
