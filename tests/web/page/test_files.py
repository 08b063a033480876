"""What the page is made of, and under which headers it comes; no browser is needed."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

import adiuva.web.page
from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.web.page.handlers import MEDIA_TYPES
from tests.web.conftest import Client, ProblemServer

FILES = sorted((Path(adiuva.web.page.__file__).parent / "files").iterdir())
BYTES = {file: file.read_bytes() for file in FILES}
SCRIPTS = [file for file in FILES if file.suffix == ".js"]
INDEX = next(file for file in FILES if file.name == "index.html").read_text()


@pytest.fixture
def bare(
    aiohttp_client: Callable[[ProblemServer], Awaitable[TestClient[Any, Any]]],
) -> Callable[..., Awaitable[Client]]:
    """The whole server without anything that it needs: the page then needs nothing."""

    async def start(**settings: Any) -> Client:
        app = create_app(Settings(jwt_secret="x" * 32, **settings), registry=AgentRegistry())
        app.cleanup_ctx.clear()
        app.on_shutdown.clear()
        return await aiohttp_client(ProblemServer(app))

    return start


@pytest.mark.parametrize("env", ["dev", "prod"])
async def test_the_page_comes_under_a_policy_that_lets_in_its_own_files_and_nothing_else(
    bare: Callable[..., Awaitable[Client]], env: str
) -> None:
    answer = await (await bare(env=env)).get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert await answer.text() == INDEX
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_a_file_comes_as_what_it_is_and_once(bare: Callable[..., Awaitable[Client]], file: Path) -> None:
    client = await bare()
    answer = await client.get(f"/page/{file.name}")
    assert (answer.status, await answer.read()) == (200, BYTES[file])
    assert answer.headers["Content-Type"] == MEDIA_TYPES[file.suffix[1:]]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    again = await client.get(f"/page/{file.name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fhandlers.py", "handlers.py", "__init__.py"])
async def test_nothing_else_is_served(bare: Callable[..., Awaitable[Client]], name: str) -> None:
    answer = await (await bare()).get(f"/page/{name}")
    assert answer.status == 404
    assert answer.content_type == "application/problem+json"


def test_every_file_that_is_named_is_there_and_every_other_one_is_named() -> None:
    named = set(re.findall(r"/page/([\w.]+)", INDEX))
    for script in SCRIPTS:
        named |= set(re.findall(r'from "\./([\w.]+)"', script.read_text()))
    assert named | {"index.html"} == {file.name for file in FILES}


def test_no_script_or_style_stands_in_the_page_and_nothing_comes_from_elsewhere() -> None:
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", INDEX)
    for file in FILES:
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text()))
        assert found <= {"http://www.w3.org"}, file.name  # the name of SVG, which nobody fetches


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_makes_html_or_code_of_a_text(script: Path) -> None:
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|\beval\b|new Function|localStorage\."
    )
    assert not re.search(ways, script.read_text())
