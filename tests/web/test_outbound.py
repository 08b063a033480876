"""What agents and plugins can reach through ``ctx.http``, whatever address a user names."""

import errno
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, evolve, field

from adiuva.app import HTTP, create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.web.outbound import may_call, open_session

HERE = ip_network("127.0.0.1/32")


@define
class Inside:
    """A service in the server's own network, which answers whoever reaches it."""

    url: str = ""
    port: int = 0
    paths: list[str] = field(factory=list)
    location: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        if request.path == "/away":
            raise web.HTTPFound(self.location)
        response = web.Response(text=request.headers.get("Cookie", "none"))
        response.set_cookie("session", "of the first user")
        return response


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    service = Inside()
    app = web.Application()
    app.router.add_get("/{path:.*}", service.answer)
    async with TestServer(app, host="0.0.0.0") as server:
        assert server.port is not None
        service.port = server.port
        service.url = f"http://127.0.0.1:{server.port}"
        yield service


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.0.0.2"]
)
async def test_nothing_of_ones_own_network_is_reached(inside: Inside, host: str) -> None:
    async with open_session() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://{host}:{inside.port}/")
    assert caught.value.os_error.errno == errno.EACCES
    assert inside.paths == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "017700000001"])
async def test_an_address_in_disguise_is_none(inside: Inside, host: str) -> None:
    async with open_session() as session:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await session.get(f"http://{host}:{inside.port}/")
    assert inside.paths == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "::1"])
async def test_a_name_that_leads_inside_is_refused_whenever_it_does(inside: Inside, address: str) -> None:
    async def resolve(host: str, port: int = 0, family: int = 0) -> list[Any]:
        return [{"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}]

    async with open_session() as session:
        connector: Any = session.connector
        connector._resolver.resolve = resolve
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://rebound.example:{inside.port}/")
    assert caught.value.os_error.errno == errno.EACCES
    assert inside.paths == []


async def test_what_the_operator_allows_is_reached_and_a_redirect_from_there_is_not_followed_inside(
    inside: Inside,
) -> None:
    async with open_session([HERE]) as session:
        async with session.get(f"{inside.url}/") as answer:
            assert answer.status == 200
        inside.location = f"http://127.0.0.2:{inside.port}/secret"
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{inside.url}/away")
    assert inside.paths == ["/", "/away"]


async def test_no_cookie_of_one_user_goes_with_the_request_of_another(inside: Inside) -> None:
    async with open_session([HERE]) as session:
        for _ in range(2):
            async with session.get(f"{inside.url}/") as answer:
                assert await answer.text() == "none"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not may_call(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "140.82.121.6", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_these_are(address: str) -> None:
    assert may_call(address)


def test_an_allowed_network_is_meant_however_its_address_is_written() -> None:
    allowed = [ip_network("10.1.0.0/16")]
    assert may_call("10.1.2.3", allowed)
    assert may_call("::ffff:10.1.2.3", allowed)
    assert not may_call("10.2.0.1", allowed)


async def test_agents_call_other_services_through_such_a_session(settings: Settings) -> None:
    for networks, refusal in ((), errno.EACCES), ((HERE,), errno.ECONNREFUSED):
        app = create_app(evolve(settings, plugin_networks=networks), registry=AgentRegistry.of())
        async with TestServer(app):
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await app[HTTP].get("http://127.0.0.1:1/")
        assert caught.value.os_error.errno == refusal
