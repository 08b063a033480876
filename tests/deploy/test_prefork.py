"""Several processes behind one port."""

import asyncio
import hashlib
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.conftest import API, BIN, Prefork, free_port

pytestmark = pytest.mark.proof

Gunicorn = Callable[..., Prefork]
USER = {"email": "ada@example.com", "password": "correct horse battery"}


async def register(session: aiohttp.ClientSession, server: Prefork) -> dict[str, str]:
    async with session.post(f"{server.url}{API}/auth/register", json=USER) as answer:
        assert answer.status == 201, await answer.text()
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


@pytest.mark.parametrize(
    "missing, named",
    [
        ("RATE_LIMIT_STORAGE_URL", "need RATE_LIMIT_STORAGE_URL, a Redis in which they count together"),
        ("DATABASE_URL", "need DATABASE_URL"),
        ("QDRANT_URL", "need QDRANT_URL or PINECONE_API_KEY"),
    ],
)
def test_several_processes_that_share_too_little_do_not_start_and_say_why(
    gunicorn: Gunicorn, missing: str, named: str
) -> None:
    environ = {
        "WEB_CONCURRENCY": "2",
        "RATE_LIMIT_STORAGE_URL": "async+redis://127.0.0.1:9",
        "DATABASE_URL": "postgresql://adiuva@127.0.0.1:9/adiuva",
        "QDRANT_URL": "http://127.0.0.1:9",
    }
    del environ[missing]
    server = gunicorn(**environ)
    output, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 1
    assert f"WEB_CONCURRENCY=2: 2 processes {named}" in output
    assert len(output.splitlines()) == 1


def test_an_option_of_gunicorns_cannot_start_more_than_the_settings_say(gunicorn: Gunicorn) -> None:
    server = gunicorn(GUNICORN_CMD_ARGS="--workers=2", DATABASE_URL="postgresql://adiuva@127.0.0.1:9/adiuva")
    output, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 1
    assert "WEB_CONCURRENCY=1: it says how many processes there are" in output
    assert len(output.splitlines()) == 1


def test_a_signal_cannot_either(gunicorn: Gunicorn) -> None:
    server = gunicorn()
    server.until_healthy()
    server.process.send_signal(signal.SIGTTIN)
    assert server.process.stdout is not None
    while "WEB_CONCURRENCY=1: it says how many" not in (line := server.process.stdout.readline()):
        assert line
    assert len(server.workers()) == 1
    server.until_healthy()


def test_serve_is_one_process_and_says_how_several_are_started(tmp_path: Path) -> None:
    environ = {
        "DATA_DIR": str(tmp_path),
        "WEB_CONCURRENCY": "2",
        "RATE_LIMIT_STORAGE_URL": "async+redis://127.0.0.1:9",
        "DATABASE_URL": "postgresql://adiuva@127.0.0.1:9/adiuva",
        "QDRANT_URL": "http://127.0.0.1:9",
    }
    run = subprocess.run(
        [BIN / "adiuva", "serve"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "gunicorn --config python:adiuva.gunicorn_conf" in run.stderr


def test_a_worker_that_cannot_start_says_why_in_a_line_and_gunicorn_gives_up(gunicorn: Gunicorn) -> None:
    server = gunicorn(DATABASE_URL="postgresql://adiuva:hunter2@127.0.0.1:9/adiuva")
    output, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 3
    assert "The database of DATABASE_URL cannot be reached" in output
    assert "Traceback" not in output
    assert "hunter2" not in output


async def test_two_workers_count_one_limit_and_each_shows_its_metrics(
    gunicorn: Gunicorn, shared: dict[str, Any]
) -> None:
    metrics = free_port()
    server = gunicorn(**shared, RATE_LIMITS="free=20", METRICS_PORT=str(metrics))
    await asyncio.to_thread(server.until_healthy)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100, force_close=True)) as session:
        headers = await register(session, server)

        async def me() -> int:
            async with session.get(f"{server.url}{API}/auth/me", headers=headers) as answer:
                return answer.status

        assert Counter(await asyncio.gather(*(me() for _ in range(100)))) == {200: 20, 429: 80}
        assert len(server.workers()) == 2
        texts = []
        for port in (metrics, metrics + 1):
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                texts.append(await answer.text())
    pattern = r'^adiuva_http_requests_total\{.*route="/api/v1/auth/me".*\} ([\d.]+)'
    counted = re.findall(pattern, "".join(texts), re.MULTILINE)
    assert sum(map(float, counted)) == 100


async def test_batches_are_refused_where_a_later_call_might_reach_another_process(
    gunicorn: Gunicorn, shared: dict[str, Any]
) -> None:
    server = gunicorn(**shared)
    await asyncio.to_thread(server.until_healthy)
    async with aiohttp.ClientSession() as session:
        headers = await register(session, server)
        async with session.post(f"{server.url}{API}/batches", json={}, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "batches_not_served")


async def test_two_workers_keep_blobs_as_files_together(gunicorn: Gunicorn, shared: dict[str, Any]) -> None:
    server = gunicorn(**shared, DEFAULT_TIER="team")
    await asyncio.to_thread(server.until_healthy)
    async with asyncio.timeout(20):
        while len(server.workers()) < 2:
            await asyncio.sleep(0.05)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        headers = await register(session, server)
        records = f"{server.url}{API}/storage/records"
        for number in range(10):
            data = b"%d" % number * 1000
            sent = {**headers, "X-Checksum": hashlib.sha256(data).hexdigest()}
            sent["Content-Type"] = "application/octet-stream"
            async with session.post(f"{records}?table=notes", data=data, headers=sent) as answer:
                assert answer.status == 201, await answer.text()
                record = (await answer.json())["id"]
            for _ in range(5):
                async with session.get(f"{records}/{record}", headers=headers) as answer:
                    assert await answer.read() == data


async def test_a_worker_that_is_killed_is_started_anew(gunicorn: Gunicorn, shared: dict[str, Any]) -> None:
    server = gunicorn(**shared)
    await asyncio.to_thread(server.until_healthy)
    while len(before := server.workers()) < 2:
        await asyncio.sleep(0.05)
    before[0].send_signal(signal.SIGKILL)
    async with asyncio.timeout(20):
        while {worker.pid for worker in server.workers()} == {worker.pid for worker in before} or (
            len(server.workers()) < 2
        ):
            await asyncio.sleep(0.05)
    await asyncio.to_thread(server.until_healthy)


async def test_sigterm_lets_an_upload_come_to_its_end_and_exits_with_0(gunicorn: Gunicorn) -> None:
    server = gunicorn(DEFAULT_TIER="team")
    await asyncio.to_thread(server.until_healthy)
    entered = asyncio.Event()

    async def body() -> Any:
        yield b"x" * 1000
        entered.set()
        await asyncio.sleep(1)
        yield b"y" * 1000

    async with aiohttp.ClientSession() as session:
        headers = await register(session, server)
        headers |= {"X-Checksum": hashlib.sha256(b"x" * 1000 + b"y" * 1000).hexdigest()}
        headers |= {"Content-Type": "application/octet-stream"}
        url = f"{server.url}{API}/storage/records?table=notes"
        upload = asyncio.create_task(session.post(url, data=body(), headers=headers))
        await entered.wait()
        await asyncio.sleep(0.2)
        server.process.terminate()
        began = time.monotonic()
        async with await upload as answer:
            assert answer.status == 201, await answer.text()
            assert answer.headers["Connection"] == "close"
    assert await server.ended() == 0
    assert time.monotonic() - began < 10
