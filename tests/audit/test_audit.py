"""The audit log: who did what, when; it can only grow."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner, Result

from adiuva.app import create_app
from adiuva.audit import queries
from adiuva.audit.models import Actor
from adiuva.chat.registry import AgentRegistry
from adiuva.cli import main
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel
from tests.chat.conftest import User, register

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("LOGNAME", "operator")
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, main, ["admin", *arguments])


@pytest.fixture
async def user(settings: Settings) -> Any:
    client: TestClient[Any, Any] = TestClient(
        TestServer(create_app(settings, model=ScriptedModel(), registry=AgentRegistry()))
    )
    await client.start_server()
    yield await register(client)
    await client.close()


async def log_of(user: User, query: str = "") -> dict[str, Any]:
    status, listing = await user.get(f"/admin/audit{query}")
    assert status == 200, listing
    return listing


async def test_what_is_done_at_the_command_line_is_in_the_log(user: User, run: Run) -> None:
    await run("set-tier", "ADA@example.com", "power")
    await run("grant", "ada@example.com")
    await run("revoke", "ada@example.com")
    await run("grant", "ada@example.com")
    listing = await log_of(user)
    assert listing["total"] == 4
    assert [(entry["action"], entry["target"], entry["details"]) for entry in listing["items"]] == [
        ("user.grant_admin", "ada@example.com", {}),
        ("user.revoke_admin", "ada@example.com", {}),
        ("user.grant_admin", "ada@example.com", {}),
        ("user.set_tier", "ADA@example.com", {"tier": "power"}),
    ]
    assert {(entry["actor_id"], entry["actor"]) for entry in listing["items"]} == {(None, "command line: operator")}
    assert all(entry["created_at"].endswith("Z") for entry in listing["items"])


async def test_what_was_not_done_is_not_in_the_log(user: User, run: Run) -> None:
    assert (await run("grant", "nobody@example.com")).exit_code == 1
    assert (await run("audit")).output == "Nothing has been done yet.\n"


async def test_the_log_is_for_admins_only(user: User) -> None:
    status, problem = await user.get("/admin/audit")
    assert (status, problem["code"]) == (403, "forbidden")


async def test_the_log_comes_in_pages_and_at_the_command_line(user: User, run: Run) -> None:
    await run("grant", "ada@example.com")
    for tier in ("pro", "power", "team"):
        await run("set-tier", "ada@example.com", tier)
    page = await log_of(user, "?page=2&limit=1")
    assert (page["total"], page["page"], page["items"][0]["details"]) == (4, 2, {"tier": "power"})
    assert (await log_of(user, "?page=9"))["items"] == []
    shown = (await run("audit", "--limit", "2")).output.splitlines()
    assert shown[0].endswith('command line: operator  user.set_tier  ada@example.com  {"tier":"team"}')
    assert shown[2:] == ["… and 2 before."]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_the_log_can_only_grow(database: Database, statement: str) -> None:
    async with database.acquire() as conn:
        await queries.append(conn, Actor(id=None, name="test"), "plugin.approve", "github-sync")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="can only grow"):
            await conn.execute(statement)
        assert await conn.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_the_log_outlives_the_accounts_in_it(user: User, run: Run, database: Database) -> None:
    async with database.acquire() as conn:
        user_id = await conn.fetchval("SELECT id FROM users")
        await queries.append(conn, Actor(id=user_id, name="ada@example.com"), "plugin.approve", "github-sync")
        await conn.execute("DELETE FROM users")
    assert "ada@example.com  plugin.approve  github-sync" in (await run("audit")).output
