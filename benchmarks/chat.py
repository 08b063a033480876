"""CPU of a chat: ``python benchmarks/chat.py``.

Adiuva beside the barest relay, against a model that answers at once: milliseconds of the server's CPU for a ``POST
/chat`` with one tool call, and for 1,000 streamed tokens. Only the ratio of one run means anything elsewhere.
"""

import asyncio
import secrets
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import orjson
import psutil

from benchmarks.kit import adiuva, cpu_seconds, data_folder, free_port, process, repeat

API = "/api/v1"
ROUNDS, SECONDS, WORKERS, STREAMS, TOKENS = 3, 3.0, 8, 16, 200
CONTEXT = {"tasks": [{"id": f"task-{n}", "title": f"Task number {n}", "status": "todo"} for n in range(20)]}
LOUD = "free=1000000000,pro=1000000000,power=1000000000,team=1000000000"


@contextmanager
def contenders(lanes: tuple[str, ...]) -> Iterator[dict[str, tuple[str, psutil.Process]]]:
    """The relay, and an Adiuva for each lane, all against one model."""
    model_port, relay_port = free_port(), free_port()
    model = f"http://127.0.0.1:{model_port}/v1"
    python = sys.executable
    found: dict[str, tuple[str, psutil.Process]] = {}
    with (
        process(python, "benchmarks/fake_model.py", str(model_port), port=model_port, health="/health"),
        process(python, "benchmarks/relay.py", str(relay_port), model, port=relay_port) as relay,
        contextmanager(_adiuvas)(lanes, model, found),
    ):
        yield {"bare relay": (f"http://127.0.0.1:{relay_port}", relay), **found}


def _adiuvas(lanes: tuple[str, ...], model: str, found: dict[str, tuple[str, psutil.Process]]) -> Iterator[None]:
    if not lanes:
        yield
        return
    environ = {"LLM_MODEL": "openai/fake", "LLM_API_BASE": model, "OPENAI_API_KEY": "none", "LLM_LANE": lanes[0]}
    with data_folder() as folder, adiuva(folder, **environ, DEFAULT_TIER="team", RATE_LIMITS=LOUD) as server:
        found[f"adiuva, {lanes[0]} lane"] = server
        yield from _adiuvas(lanes[1:], model, found)


async def log_in(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """The headers of a new user; the relay has none."""
    body = {"email": f"bench-{secrets.token_hex(8)}@example.com", "password": "correct horse battery"}
    async with session.post(f"{url}{API}/auth/register", json=body) as answer:
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"} if answer.status == 201 else {}


async def chat_cost(url: str, server: psutil.Process) -> float:
    """Milliseconds of CPU for one ``POST /chat``."""
    async with aiohttp.ClientSession() as session:
        headers = await log_in(session, url)
        body = {"message": "Please buy milk", "agents": ["task_agent"], "context": CONTEXT}

        async def once() -> None:
            async with session.post(f"{url}{API}/chat", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        await repeat(1.0, WORKERS, once)
        before = cpu_seconds(server)
        count = await repeat(SECONDS, WORKERS, once)
        return (cpu_seconds(server) - before) / count * 1000


async def stream_cost(url: str, server: psutil.Process) -> float:
    """Milliseconds of CPU for 1,000 streamed tokens, over several sockets at once."""
    async with aiohttp.ClientSession() as session:
        headers = await log_in(session, url)

        async def once() -> None:
            async with session.ws_connect(f"{url}{API}/chat/stream", headers=headers) as socket:
                await socket.send_str(orjson.dumps({"message": f"stream {TOKENS}", "agents": ["task_agent"]}).decode())
                while (frame := orjson.loads(await socket.receive_str()))["type"] != "done":
                    assert frame["type"] == "chunk", frame

        await asyncio.gather(*(once() for _ in range(2)))
        before = cpu_seconds(server)
        await asyncio.gather(*(once() for _ in range(STREAMS)))
        return (cpu_seconds(server) - before) / (STREAMS * TOKENS) * 1_000_000


def main() -> None:
    """Print the table."""
    lanes = tuple(sys.argv[1:]) or ("direct", "litellm")
    with contenders(lanes) as found:
        print("| server | chat, ms CPU | x relay | 1,000 streamed tokens, ms CPU | x relay |")
        print("|---|---:|---:|---:|---:|")
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in found}
        for _ in range(ROUNDS):
            for name, (url, server) in found.items():
                figures[name].append((asyncio.run(chat_cost(url, server)), asyncio.run(stream_cost(url, server))))
        chat, stream = zip(*(map(statistics.median, zip(*rows, strict=True)) for rows in figures.values()), strict=True)
        for index, name in enumerate(found):
            ratios = chat[index] / chat[0], stream[index] / stream[0]
            print(f"| {name} | {chat[index]:.2f} | {ratios[0]:.1f} | {stream[index]:.0f} | {ratios[1]:.1f} |")


if __name__ == "__main__":
    main()
