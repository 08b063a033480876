import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adiuva.cli import main
from adiuva.settings import Settings
from tests.auth.conftest import Client, Login

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``adiuva admin`` on this test's database; in a thread, since it has a loop of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, main, ["admin", *arguments])


async def me(login: Login) -> dict[str, Any]:
    answer: dict[str, Any] = await (await login.call("GET", "/auth/me")).json()
    return answer


async def test_granting_and_revoking_admin_counts_from_the_next_request_on(client: Client, run: Run) -> None:
    ada = await Login.register(client)
    granted = await run("grant", "ADA@Example.com")
    assert (granted.exit_code, granted.output) == (0, "ADA@Example.com is an admin now.\n")
    assert (await me(ada))["is_admin"] is True
    assert (await run("revoke", "ada@example.com")).exit_code == 0
    assert (await me(ada))["is_admin"] is False


async def test_a_tier_that_is_set_counts_from_the_next_request_on(client: Client, run: Run) -> None:
    ada = await Login.register(client)
    for tier in ("power", "team", "free"):
        result = await run("set-tier", "ada@example.com", tier)
        assert (result.exit_code, result.output) == (0, f"ada@example.com has the tier {tier} now.\n")
        assert (await me(ada))["tier"] == tier


async def test_users_are_listed_with_tier_and_role(client: Client, run: Run) -> None:
    assert (await run("list")).output == "There are no users yet.\n"
    await Login.register(client)
    await Login.register(client, "grace.hopper@example.com")
    await run("set-tier", "ada@example.com", "pro")
    await run("grant", "grace.hopper@example.com")
    lines = [line.split()[:3] for line in (await run("list")).output.splitlines()]
    assert lines == [["ada@example.com", "pro", "user"], ["grace.hopper@example.com", "free", "admin"]]


@pytest.mark.parametrize("command", [("grant",), ("revoke",), ("set-tier", "pro")])
async def test_an_unknown_address_is_said_and_fails(run: Run, command: tuple[str, ...]) -> None:
    name, *rest = command
    result = await run(name, "nobody@example.com", *rest)
    assert (result.exit_code, result.output) == (1, "Error: Nobody is registered as nobody@example.com.\n")


async def test_an_unknown_tier_is_refused(run: Run) -> None:
    result = await run("set-tier", "ada@example.com", "gold")
    assert result.exit_code == 2
    assert "'free', 'pro', 'power', 'team'" in result.output
