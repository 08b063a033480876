"""CPU of the server for authenticated requests, beside bare aiohttp handlers with the same queries.

Run ``python -m benchmarks.auth_me``. Both servers run on uvloop against one PostgreSQL and take turns in short rounds
under the same load; what counts is the CPU time of their processes. Printed are the medians over the rounds.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import attrs
import jwt
import orjson
import psutil
import uvloop
from aiohttp import ClientSession, web
from attrs import frozen

from adiuva.auth import queries
from adiuva.embedded import EmbeddedPostgres
from adiuva.logs import configure_logging
from adiuva.migrate import apply
from adiuva.tiers import TIER_NAMES
from benchmarks import kit

API = "/api/v1"
CONNECTIONS = 16
MANY = 10**9
WANTED = 2.2
UNKNOWN = "00000000-0000-0000-0000-000000000000"
SCENARIOS = {
    "me": ("GET", "/auth/me", 200),
    "list": ("GET", "/auth/sessions", 200),
    "error": ("DELETE", f"/auth/sessions/{UNKNOWN}", 404),
}


async def serve_bare(port: int) -> None:
    """The floor: the queries and the answers, with nothing around them; each request has its own."""

    async def keep(_: object) -> None:
        """Spare the round trip that resets a connection, as Adiuva does."""

    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=5, max_size=20, reset=keep)

    def answer(body: object, status: int = 200) -> web.Response:
        return web.Response(body=orjson.dumps(body, default=str), status=status, content_type="application/json")

    async def user(request: web.Request) -> dict[str, Any]:
        async with pool.acquire() as conn:
            rows = await queries.find_principals(conn, [UUID(request.headers["X-Login"])])
        return dict(rows[0])

    async def me(request: web.Request) -> web.Response:
        return answer(await user(request))

    async def sessions(request: web.Request) -> web.Response:
        found = await user(request)
        async with pool.acquire() as conn:
            rows = await queries.list_sessions(conn, user_id=found["user_id"], current=found["login_id"])
        return answer({"items": [attrs.asdict(row) for row in rows]})

    async def revoke(request: web.Request) -> web.Response:
        found = await user(request)
        async with pool.acquire() as conn:
            await queries.revoke_login(conn, login_id=UUID(request.match_info["id"]), user_id=found["user_id"])
        return answer({"code": "not_found"}, 404)

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get(kit.HEALTH, health)
    app.router.add_get(API + "/auth/me", me)
    app.router.add_get(API + "/auth/sessions", sessions)
    app.router.add_delete(API + "/auth/sessions/{id}", revoke)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@frozen
class Target:
    """A server under load; ``header`` is how it knows the user."""

    process: psutil.Process
    port: int
    header: str

    async def cpu_of(self, scenario: str, requests: int) -> float:
        """CPU seconds of the process for one of so many requests."""
        method, path, status = SCENARIOS[scenario]
        request = f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{self.header}\r\n\r\n".encode()
        before = kit.cpu_seconds(self.process)
        share = requests // CONNECTIONS
        await asyncio.gather(*(self._connection(request, status, share) for _ in range(CONNECTIONS)))
        return (kit.cpu_seconds(self.process) - before) / (share * CONNECTIONS)

    async def _connection(self, request: bytes, status: int, requests: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for _ in range(requests):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 %d" % status):
                raise SystemExit(head.decode())
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await reader.readexactly(int(length))
        writer.close()


async def register(port: int) -> str:
    """An access token of a new user."""
    body = {"email": f"{secrets.token_hex(8)}@example.com", "password": secrets.token_hex(8)}
    async with ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{port}{API}/auth/register", json=body)
        return str((await answer.json())["access_token"])


def compare(database_url: str, rounds: int, requests: int) -> None:
    """Both servers on one database, and the table."""
    environment = {
        "DATABASE_URL": database_url,
        "JWT_SECRET": secrets.token_hex(32),
        "ENV": "prod",
        "LOG_FORMAT": "json",
        "RATE_LIMITS": ",".join(f"{tier}={MANY}" for tier in TIER_NAMES),
    }
    bare_port, port = kit.free_port(), kit.free_port()
    bare = (sys.executable, "-m", "benchmarks.auth_me", "--bare", str(bare_port))
    adiuva = (str(Path(sys.executable).parent / "adiuva"), "serve")
    with (
        kit.process(*bare, port=bare_port, **environment) as floor,
        kit.process(*adiuva, port=port, **environment, PORT=str(port)) as server,
    ):
        token = uvloop.run(register(port))
        login = jwt.decode(token, options={"verify_signature": False})["jti"].partition(".")[0]
        targets = (
            Target(floor, bare_port, f"X-Login: {login}"),
            Target(server, port, f"Authorization: Bearer {token}"),
        )
        uvloop.run(measure(targets, rounds, requests))


async def measure(targets: tuple[Target, Target], rounds: int, requests: int) -> None:
    """Take turns, and print the CPU times of each scenario, and the median of their ratios."""
    print("| request | bare handler, µs CPU | Adiuva, µs CPU | ratio | wanted, at most |\n|---|---:|---:|---:|---:|")
    for scenario, (method, path, status) in SCENARIOS.items():
        pairs = [[await target.cpu_of(scenario, requests) for target in targets] for _ in range(rounds + 1)]
        bare, ours = zip(*pairs[1:], strict=True)  # the first round warms up
        ratio = statistics.median(b / a for a, b in pairs[1:])
        medians = f"{statistics.median(bare) * 1e6:.0f} | {statistics.median(ours) * 1e6:.0f}"
        print(
            f"| {method} {path.replace(UNKNOWN, 'UNKNOWN')}, {status} | {medians} | {ratio:.2f} | {WANTED} |",
            flush=True,
        )


def main() -> None:
    """Take a database, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=4000, help="in each round")
    parser.add_argument("--bare", type=int, metavar="PORT", help="serve the floor on this port (used by the benchmark)")
    arguments = parser.parse_args()
    if arguments.bare:
        uvloop.run(serve_bare(arguments.bare))
        return
    configure_logging(fmt="console", level="WARNING")
    with kit.data_folder() as folder:
        postgres = EmbeddedPostgres.start(Path(folder) / "postgres", options={"fsync": "off"})
        try:
            apply(postgres.dsn)
            compare(postgres.dsn, arguments.rounds, arguments.requests)
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
