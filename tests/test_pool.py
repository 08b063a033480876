"""Connections that are lent out: in order, back in good state, and never lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import asyncpg
import pytest

from adiuva import pool as module
from adiuva.errors import NotFoundError, OverloadedError, UnavailableError
from adiuva.pool import Connection, Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async def connect() -> Connection:
        return await asyncpg.connect(database_url)

    pool = Pool(connect=connect, low=1, high=2)
    await pool.open()
    yield pool
    await pool.close(grace=0.5)


async def answers(pool: Pool) -> bool:
    async with pool.acquire() as connection:
        return bool(await connection.fetchval("SELECT true"))


async def backend(pool: Pool) -> int:
    async with pool.acquire() as connection:
        return connection.get_server_pid()


async def test_one_after_another_use_the_same_connection(pool: Pool) -> None:
    assert len({await backend(pool) for _ in range(5)}) == 1


async def test_never_more_connections_than_high_and_who_waits_is_served_in_order(pool: Pool) -> None:
    served: list[int] = []
    running = most = 0

    async def use(number: int) -> None:
        nonlocal running, most
        async with pool.acquire() as connection:
            running += 1
            most = max(most, running)
            served.append(number)
            await connection.execute("SELECT 1")
            running -= 1

    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.acquire()) for _ in range(2)]
        assert len(set(held)) == 2
        users = [asyncio.create_task(use(number)) for number in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*users)
    assert most <= 2
    assert served == list(range(20))


async def test_giving_a_connection_back_costs_no_round_trip(pool: Pool) -> None:
    queries: asyncio.Queue[Any] = asyncio.Queue()
    async with pool.acquire() as connection:
        connection.add_query_logger(queries.put_nowait)
        await connection.fetchval("SELECT 1")
    with pytest.raises(NotFoundError):
        async with pool.acquire() as again:
            raise NotFoundError
    assert again is connection
    assert await answers(pool)
    assert [(await queries.get()).query for _ in range(2)] == ["SELECT 1", "SELECT true"]


async def test_a_connection_that_is_cut_is_unavailable_and_the_next_one_works(pool: Pool) -> None:
    async def cut_while_running() -> None:
        async with pool.acquire() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def use_after_the_cut() -> None:
        async with pool.acquire() as connection, pool.acquire() as other:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _: closed.set())
            await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await closed.wait()
            await connection.fetchval("SELECT 1")

    for breach in (cut_while_running, use_after_the_cut):
        with pytest.raises(UnavailableError) as refused:
            await breach()
        assert refused.value.retry_after
        assert await answers(pool)


async def test_a_connection_that_is_cut_while_idle_is_replaced(pool: Pool) -> None:
    async with pool.acquire() as idle, pool.acquire() as other:
        closed = asyncio.Event()
        idle.add_termination_listener(lambda _: closed.set())
        victim = idle.get_server_pid()
        await other.execute("SELECT pg_terminate_backend($1)", victim)
        await closed.wait()
    assert await backend(pool) != victim
    async with pool.acquire(), pool.acquire():
        pass


async def test_a_connection_idle_for_long_is_not_trusted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await backend(pool)
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0)
    assert await backend(pool) != first


async def test_a_statement_that_is_wrong_is_no_unavailability(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with pool.acquire() as connection:
            await connection.fetch("SELECT 1 FROM no_such_table")
    with pytest.raises(asyncpg.InterfaceError):
        async with pool.acquire() as connection:
            await connection.fetch("SELECT $1::int", 1, 2)
    assert await answers(pool)


async def test_who_waits_too_long_is_refused(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ACQUIRE_SECONDS", 0.05)
    async with pool.acquire(), pool.acquire():
        with pytest.raises(OverloadedError):
            await answers(pool)
    assert await answers(pool)


async def test_who_gives_up_waiting_takes_no_connection_along(pool: Pool) -> None:
    async with pool.acquire(), pool.acquire():
        waiting = [asyncio.create_task(answers(pool)) for _ in range(3)]
        await asyncio.sleep(0)
    # The first two have been handed a connection that they have not come to use.
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with pool.acquire(), pool.acquire():
        pass


async def test_a_cancelled_query_does_not_reach_the_next_user(pool: Pool) -> None:
    async def sleep(connection: Connection, started: asyncio.Event) -> None:
        started.set()
        await connection.execute("SELECT pg_sleep(600)")

    async def cancelled() -> None:
        started = asyncio.Event()
        async with pool.acquire() as connection:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(0.05, task.cancel)
            await sleep(connection, started)

    for _ in range(3):
        task = asyncio.create_task(cancelled())
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert await answers(pool)
        async with pool.acquire() as one, pool.acquire() as other:
            assert await one.fetchval("SELECT 1") == await other.fetchval("SELECT 1") == 1


@pytest.mark.filterwarnings("ignore")
async def test_a_transaction_left_open_is_rolled_back(pool: Pool) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        await connection.execute("DELETE FROM plugins")
    async with pool.acquire() as one, pool.acquire() as other:
        assert await one.fetchval("SELECT count(*) FROM plugins") == 3
        assert await other.fetchval("SELECT count(*) FROM plugins") == 3
        async with one.transaction():
            assert one.is_in_transaction()
    assert "active transaction" in told[0]["message"]


async def test_a_database_that_comes_back_is_used_again(database_url: str) -> None:
    down = False

    async def connect() -> Connection:
        if down:
            raise ConnectionRefusedError
        return await asyncpg.connect(database_url)

    pool = Pool(connect=connect, low=0, high=1)
    await pool.open()
    down = True
    refused = await asyncio.gather(*(answers(pool) for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in refused] == [UnavailableError] * 5
    down = False
    assert await answers(pool)
    await pool.close()


async def test_opening_fails_as_connecting_does_and_leaves_nothing_open(database_url: str) -> None:
    made: list[Connection] = []
    tries = count()

    async def connect() -> Connection:
        if next(tries):
            raise ConnectionRefusedError
        made.append(await asyncpg.connect(database_url))
        return made[0]

    with pytest.raises(ConnectionRefusedError):
        await Pool(connect=connect, low=3).open()
    assert made[0].is_closed()


async def test_closing_waits_for_who_is_at_work_and_refuses_who_waits(pool: Pool) -> None:
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(pool.acquire()) for _ in range(2)]
        waiting = asyncio.create_task(answers(pool))
        await asyncio.sleep(0)
        closing = asyncio.create_task(pool.close())
        with pytest.raises(UnavailableError):
            await waiting
        assert await held[0].fetchval("SELECT 1") == 1
        assert not closing.done()
    await closing
    assert all(connection.is_closed() for connection in held)
    with pytest.raises(UnavailableError):
        await answers(pool)


async def test_closing_cuts_off_who_takes_too_long(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await pool.close(grace=0.05)
        assert connection.is_closed()
