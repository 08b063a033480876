"""A server with the page, people of it, and one browser for all tests."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.llm.protocol import Model
from adiuva.settings import Settings
from adiuva.testing.limits import without_rate_limits
from adiuva.testing.models import ScriptedModel
from tests.chat.conftest import CheckpointAgent, TaskAgent
from tests.marketplace.conftest import PASSWORD, Person, Place
from tests.web.page import chromium
from tests.web.page.chromium import Page, open_page

Start = Callable[..., Awaitable[Place]]
Open = Callable[..., Awaitable[Page]]

# The tab has had this token since before the page was loaded.
KEEP = """
if (!sessionStorage.getItem("was here")) sessionStorage.setItem("adiuva.refresh", %s);
sessionStorage.setItem("was here", "yes");
"""


@pytest.fixture(scope="session")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser; each test has a profile of its own in it."""
    if chromium.program() is None:
        pytest.skip("there is no Chromium here: install one (Debian: apt-get install chromium), or set CHROMIUM")
    with chromium.running(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def start(settings: Settings, model: ScriptedModel) -> AsyncIterator[Start]:
    """Starts a server."""
    clients = []

    async def run(own_model: Model | None = None, **changes: Any) -> Place:
        registry = AgentRegistry.of(TaskAgent(), CheckpointAgent())
        app = create_app(without_rate_limits(settings, **changes), model=own_model or model, registry=registry)
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        return Place(client)

    yield run
    for client in clients:
        await client.close()


@pytest.fixture
async def place(start: Start) -> Place:
    return await start()


@pytest.fixture
async def open_at(devtools: str) -> AsyncIterator[Open]:
    """Opens the page of a server, for everyone or, as after a reload, for someone who is signed in.

    Whatever a test does with it: nothing complains, and no request goes elsewhere.
    """
    opened = []

    async def run(place: Place, person: Person | None = None, view: str = "#/") -> Page:
        manager = open_page(devtools, str(place.client.make_url("")).rstrip("/"))
        page = await manager.__aenter__()
        opened.append((manager, page))
        if person is not None:
            await page.before_all_else(KEEP % json.dumps(person.tokens["refresh_token"]))
        await page.visit(f"/{view}")
        await page.until(f"document.querySelector('nav [aria-current]')?.hash === '{view}'")
        if view != "#/" or person is not None:
            await page.until("document.querySelector('.who') && document.querySelector('.view > *')")
        return page

    yield run
    for manager, page in opened:
        await manager.__aexit__(None, None, None)
        assert page.complaints == []
        assert page.foreign() == []
        assert page.requests


@pytest.fixture
async def page(place: Place, open_at: Open) -> Page:
    return await open_at(place)


async def sign_in(page: Page, person: Person) -> None:
    """Through the form, as people do."""
    await page.fill("E-mail", person.email)
    await page.fill("Password", PASSWORD)
    await page.press("Enter")
    await page.sees(person.email, "#account")
    await page.until("document.querySelector('h1')?.textContent === 'Chat' && document.querySelector('.composer')")


async def go(page: Page, name: str, heading: str) -> None:
    """Follow a link of the navigation."""
    await page.click(name, "nav a")
    await page.until(
        f"document.querySelector('h1')?.textContent === '{heading}' && document.querySelector('.view > *')"
    )
