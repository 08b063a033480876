"""Logins that are asked for while another is looked up: one query for all, each gets its own, and as it is now."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery

from adiuva.auth import lookups as module
from adiuva.auth import queries
from adiuva.auth.lookups import LoginLookups
from adiuva.database import Database
from adiuva.errors import UnavailableError
from adiuva.settings import Settings

asker: ContextVar[str] = ContextVar("asker")


class Asked(list[tuple[str | None, int]]):
    """Of each statement that looked logins up: who asked, as far as its context tells, and how many there were."""

    def hear(self, query: LoggedQuery) -> None:
        if "wanted" in query.query:
            self.append((asker.get(None), len(query.args[0])))


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def database(settings: Settings, asked: Asked) -> AsyncIterator[Database]:
    database = await Database.connect(settings, on_query=asked.hear)
    yield database
    await database.close()


@pytest.fixture
def lookups(database: Database) -> LoginLookups:
    return LoginLookups(database)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60)


NewLogin = Callable[[str], Awaitable[UUID]]


@pytest.fixture
def new_login(database: Database) -> NewLogin:
    async def make(name: str) -> UUID:
        login_id = uuid4()
        async with database.acquire() as conn:
            await conn.execute(
                """
                WITH account AS (INSERT INTO users (id, email, password_hash) VALUES ($1, $2, 'x') RETURNING id)
                INSERT INTO logins (id, user_id) SELECT $3, id FROM account
                """,
                uuid4(),
                f"{name}@example.com",
                login_id,
            )
        return login_id

    return make


@asynccontextmanager
async def stalled(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """No lookup ends within; gives what cuts the connection of the one that is under way."""
    conn = await asyncpg.connect(settings.database_url)

    async def cut() -> None:
        async with asyncio.timeout(5):
            while not await conn.fetch(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            ):
                await asyncio.sleep(0.01)

    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE subscriptions IN ACCESS EXCLUSIVE MODE")
            yield cut
    finally:
        await conn.close()


async def ask(lookups: LoginLookups, login_id: UUID, name: str = "") -> str | None:
    asker.set(name)
    row = await lookups.find(login_id)
    return str(row["email"]).removesuffix("@example.com") if row else None


async def asking(*finding: Awaitable[str | None]) -> list["asyncio.Task[str | None]"]:
    """They have begun, in this order."""
    tasks = [asyncio.ensure_future(find) for find in finding]
    await asyncio.sleep(0)
    return tasks


async def revoke(database: Database, login_id: UUID) -> None:
    async with database.acquire() as conn:
        user_id = await conn.fetchval("SELECT user_id FROM logins WHERE id = $1", login_id)
        assert await queries.revoke_login(conn, login_id=login_id, user_id=user_id)


async def test_those_that_meet_share_a_query_and_each_gets_its_own(
    lookups: LoginLookups, new_login: NewLogin, database: Database, asked: Asked
) -> None:
    names = [f"user{n}" for n in range(9)]
    ids = {name: await new_login(name) for name in names}
    gone, nobody = await new_login("gone"), uuid4()
    await revoke(database, gone)
    tasks = await asking(
        *(ask(lookups, ids[name], name) for name in names),
        ask(lookups, ids["user3"]),
        ask(lookups, gone),
        ask(lookups, nobody),
    )
    assert await asyncio.gather(*tasks) == [*names, "user3", None, None]
    await asyncio.sleep(0.01)
    assert asked == [("user0", 1), ("user1", 10)]  # eight others, the one that was revoked and the one that is not


async def test_one_that_comes_alone_waits_for_nobody(lookups: LoginLookups, new_login: NewLogin, asked: Asked) -> None:
    ada = await new_login("ada")
    assert [await ask(lookups, ada, name) for name in ("first", "second")] == ["ada", "ada"]
    await asyncio.sleep(0.01)
    assert asked == [("first", 1), ("second", 1)]


@pytest.mark.usefixtures("patient")
async def test_nothing_is_older_than_who_asks_for_it(
    lookups: LoginLookups, new_login: NewLogin, database: Database, settings: Settings
) -> None:
    ada, bob = await new_login("ada"), await new_login("bob")
    async with stalled(settings):
        ahead, before = await asking(ask(lookups, ada), ask(lookups, bob))
        await revoke(database, ada)
        await revoke(database, bob)
        [after] = await asking(ask(lookups, ada))
    assert await before is None  # it had not been looked up
    assert await after is None  # though the one ahead was looking up this very login
    await ahead


async def test_one_that_hangs_holds_up_nobody(
    lookups: LoginLookups, new_login: NewLogin, database: Database, asked: Asked
) -> None:
    ada, bob = await new_login("ada"), await new_login("bob")
    async with database.acquire() as conn:
        backend = conn.get_server_pid()  # the next has it, since it is at hand
    os.kill(backend, signal.SIGSTOP)
    try:
        ahead, *others = await asking(ask(lookups, ada), ask(lookups, bob), ask(lookups, ada))
        assert await asyncio.wait_for(asyncio.gather(*others), 5) == ["bob", "ada"]
        assert not ahead.done()
        assert await asyncio.wait_for(ask(lookups, bob), 5) == "bob"
    finally:
        os.kill(backend, signal.SIGCONT)
    assert await ahead == "ada"
    await asyncio.sleep(0.01)
    assert [count for _, count in asked] == [2, 1, 1]


@pytest.mark.usefixtures("patient")
async def test_a_fault_is_that_of_all_whom_it_befalls_and_of_nobody_else(
    lookups: LoginLookups, new_login: NewLogin, settings: Settings
) -> None:
    ada, bob = await new_login("ada"), await new_login("bob")
    async with stalled(settings) as cut:
        first, *others = await asking(ask(lookups, ada), ask(lookups, bob), ask(lookups, ada))
        for befallen in ([first], others):
            await cut()
            for task in befallen:
                with pytest.raises(UnavailableError):
                    await task
    assert await ask(lookups, bob) == "bob"


@pytest.mark.usefixtures("patient")
async def test_who_leaves_takes_nobody_along(lookups: LoginLookups, new_login: NewLogin, settings: Settings) -> None:
    ada, bob = await new_login("ada"), await new_login("bob")
    async with stalled(settings):
        ahead, leaving, staying = await asking(ask(lookups, ada), ask(lookups, ada), ask(lookups, bob))
        ahead.cancel()
        leaving.cancel()
        await asyncio.wait([ahead, leaving])
        assert ahead.cancelled()
        assert leaving.cancelled()
        late, gone = await asking(ask(lookups, ada), ask(lookups, bob))
        gone.cancel()
    assert [await staying, await late] == ["bob", "ada"]
    assert await ask(lookups, ada) == "ada"


async def test_a_crowd_is_served_by_few_queries(
    lookups: LoginLookups, new_login: NewLogin, database: Database, asked: Asked
) -> None:
    ids = [await new_login(f"user{n}") for n in range(20)]
    found = await asyncio.gather(*(ask(lookups, ids[n % 20]) for n in range(1000)))
    assert found == [f"user{n % 20}" for n in range(1000)]
    await asyncio.sleep(0.01)
    assert len(asked) < 10
    assert database.pool.get_size() - database.pool.get_idle_size() == len(database.at_hand)  # all are given back
