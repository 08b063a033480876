"""Whatever is killed, and wherever: bytes and rows agree after housekeeping, and what was acknowledged is there."""

import asyncio
import hashlib
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
import pytest

from adiuva.settings import Settings
from adiuva.testing.serving import Served
from tests.storage.conftest import API, PASSWORD, Start, User, assert_agreement, register, sha256

pytestmark = pytest.mark.proof

POINTS = [
    *(("create", point) for point in ("begun", "receiving", "half", "stored", "committed")),
    *(("replace", point) for point in ("begun", "receiving", "half", "stored", "committed", "cleared", "forgotten")),
    *(("delete", point) for point in ("committed", "cleared", "forgotten")),
]
LEASE = 1.0


async def die_often(settings: Settings, user: User, **plan: Any) -> dict[str, Any]:
    """Let processes live and die as ``plan`` says; what each record may be after."""
    whole = {
        "database_url": settings.database_url,
        "folder": str(settings.data_dir / "blobs"),
        "user": user.id,
        "lease": LEASE,
        **plan,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage.dying",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, faults = await process.communicate(orjson.dumps(whole))
    assert process.returncode == 0, faults.decode()
    outcome: dict[str, Any] = orjson.loads(output)
    return outcome


async def assert_kept(user: User, records: dict[str, list[str]]) -> None:
    """Every record is whole, and one of what it may be."""
    for record_id, allowed in records.items():
        status, content = await user.read(record_id)
        found = sha256(content) if status == 200 else ""
        assert status in {200, 404}
        assert found in allowed


async def die_at(start: Start, settings: Settings, operation: str, point: str, lives: int) -> None:
    user = await register(await start(upload_lease_seconds=LEASE))
    outcome = await die_often(settings, user, lives=lives, operation=operation, point=point, seed=lives)
    committed = point in {"committed", "cleared", "forgotten"}
    for allowed in outcome["records"].values():
        allowed[:] = [allowed[-1] if committed else allowed[0]]
    assert len(outcome["records"]) == lives
    await assert_agreement(user.client)
    await assert_kept(user, outcome["records"])


@pytest.mark.parametrize("operation, point", POINTS)
async def test_killed_once_at_each_point(start: Start, settings: Settings, operation: str, point: str) -> None:
    await die_at(start, settings, operation, point, lives=1)


@pytest.mark.parametrize("operation, point", POINTS)
async def test_killed_20_times_at_each_point(start: Start, settings: Settings, operation: str, point: str) -> None:
    """ST1."""
    await die_at(start, settings, operation, point, lives=20)


async def any_deaths(start: Start, settings: Settings, *, at_least: int, lives: int, steps: int) -> None:
    """Change and die until ``at_least`` changes were acknowledged; after every so many deaths, see that all is well."""
    user = await register(await start(upload_lease_seconds=LEASE))
    done = seed = 0
    while done <= at_least:
        outcome = await die_often(
            settings, user, lives=lives, operation="any", point="", seed=seed, steps=steps, workers=4
        )
        assert outcome["steps"] > 0
        done, seed = done + outcome["steps"], seed + 1
        await assert_agreement(user.client)
        await assert_kept(user, outcome["records"])


async def test_killed_anywhere_the_counter_is_the_sum_of_the_rows_and_of_the_blobs(
    start: Start, settings: Settings
) -> None:
    await any_deaths(start, settings, at_least=100, lives=3, steps=10)


@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("heavy")
async def test_10000_random_operations_with_random_kills_leave_no_byte_of_drift(
    start: Start, settings: Settings
) -> None:
    """QU7: some 80 deaths."""
    await any_deaths(start, settings, at_least=10_000, lives=12, steps=60)


def test_a_server_killed_in_the_middle_of_50_changes_goes_on_as_if_nothing_had_been(
    serve: Callable[..., Served], database_url: str
) -> None:
    """Issue 4, item 3: through ``adiuva serve`` and its own clients."""
    environ = {
        "DATABASE_URL": database_url,
        "DEFAULT_TIER": "pro",
        "RATE_LIMITS": "pro=100000",
        "UPLOAD_LEASE_SECONDS": "1",
    }
    served = serve(**environ)
    _, tokens = served.call("POST", "/auth/register", {"email": "ada@example.com", "password": PASSWORD})
    token = tokens["access_token"]
    allowed: dict[str, set[str]] = {}
    for round_ in range(3):
        asyncio.run(_change_until_killed(served, token, allowed, random.Random(round_)))
        served = serve(**environ)
        asyncio.run(_assert_whole(served, token, allowed, database_url))
    assert len(allowed) > 20


async def _change_until_killed(served: Served, token: str, allowed: dict[str, set[str]], rng: random.Random) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    url = f"{served.url}{API}/storage/records"
    answered, enough = 0, rng.randrange(10, 40)

    async def change(session: aiohttp.ClientSession, record_id: str | None) -> None:
        content = rng.randbytes(rng.randrange(300_000))
        checksum = hashlib.sha256(content).hexdigest()
        nonlocal answered
        method = rng.choice(["PUT", "PUT", "DELETE"]) if record_id else "POST"
        result = "" if method == "DELETE" else checksum
        if record_id:
            allowed[record_id] = {*allowed[record_id], result}
        target = f"{url}/{record_id}" if record_id else f"{url}?table=notes"
        try:
            own = {**headers, "X-Checksum": checksum}
            async with session.request(method, target, data=content, headers=own) as answer:
                if answer.status in {200, 201, 204}:
                    made = record_id or (await answer.json())["id"]
                    allowed[made] = {result}
                answered += 1
                if answered == enough:
                    served.process.send_signal(signal.SIGKILL)
        except (aiohttp.ClientError, ConnectionError):
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10)) as session:
        known = [record_id for record_id, may in allowed.items() if "" not in may][:25]
        changes = [change(session, record_id) for record_id in [*known, *[None] * (50 - len(known))]]
        rng.shuffle(changes)
        await asyncio.gather(*changes)
    served.process.wait()


async def _assert_whole(served: Served, token: str, allowed: dict[str, set[str]], database_url: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for record_id, may in allowed.items():
            async with session.get(f"{served.url}{API}/storage/records/{record_id}") as answer:
                content = await answer.read()
                found = hashlib.sha256(content).hexdigest() if answer.status == 200 else ""
            assert answer.status in {200, 404}
            assert found in may
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM storage_intents"):
                await asyncio.sleep(0.1)
        used = await connection.fetchval("SELECT sum(used_bytes) FROM storage_usage")
        assert used == await connection.fetchval("SELECT sum(size_bytes) FROM storage_records")
    finally:
        await connection.close()
