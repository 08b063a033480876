"""What users and their clients write is in no metric, no span and no line of the log, wherever they write it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from adiuva.testing.openai_double import OpenAIDouble, call, fail, say
from adiuva.testing.otlp_double import OtlpDouble
from adiuva.testing.serving import Served

MARK = "zebra77marker"  # a word of it would be enough, so it is one
TRACE = "0af7651916cd43dd8448eb211c80319c"
OCTETS = {"Content-Type": "application/octet-stream"}
CONTEXT = {
    "tasks": [{"id": f"{MARK}-1", "title": f"{MARK} two"}],
    "notes": [{"id": "n", "content": f"{MARK} three"}],
    "plugins": {f"{MARK}-plugin": {"token": MARK}},
    MARK: MARK,
}
CHAT = {
    "message": f"Please {MARK} the roses",
    "agents": ["task_agent"],
    "context": CONTEXT,
    "history": [{"role": "user", "content": f"{MARK} before"}],
}
# Each is one request; what they are answered does not matter, as long as the server has something to say about it.
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", f"/api/v1/plugins/{MARK}", {}),
    ("POST", f"/api/v1/plugins/{MARK}/install", {}),
    ("PUT", f"/api/v1/plugins/{MARK}/rating", {"json": {"stars": MARK}}),
    ("POST", "/api/v1/plugins", {"json": {"id": MARK, "name": MARK, "description": MARK, "version": MARK}}),
    ("GET", f"/api/v1/plugins?q={MARK}&category={MARK}&sort={MARK}", {}),
    ("GET", f"/api/v1/storage/records/{MARK}?token={MARK}", {}),
    ("GET", f"/api/v1/storage/records?table={MARK}", {}),
    ("POST", f"/api/v1/storage/records?table={MARK}&id={MARK}", {"data": MARK.encode(), "headers": OCTETS}),
    ("POST", "/api/v1/storage/vectors/upsert", {"json": {"vectors": [{"id": MARK, "blob": "AA==", "checksum": MARK}]}}),
    ("DELETE", "/api/v1/storage/vectors", {"json": {"ids": [MARK]}}),
    ("GET", f"/api/v1/plans/playbook/{MARK}", {}),
    ("POST", "/api/v1/plans/steps", {"json": {"plan_id": MARK, "step_id": MARK, "vars": {MARK: MARK}}}),
    ("GET", f"/api/v1/batches/{MARK}", {}),
    ("POST", "/api/v1/chat", {"json": {**CHAT, "agents": [MARK], "model": MARK}}),
    ("POST", "/api/v1/chat", {"json": {**CHAT, "model": MARK, MARK: MARK}}),
    ("POST", "/api/v1/chat", {"data": b'{"message": "%b' % MARK.encode(), "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/v1/chat/completions", {"json": {"model": MARK, "messages": [{"role": "user", "content": MARK}]}}),
    ("POST", "/mcp", {"json": {"jsonrpc": "2.0", "id": MARK, "method": MARK, "params": {MARK: MARK}}}),
    ("POST", "/api/v1/billing/checkout", {"json": {"tier": MARK}}),
    ("POST", "/api/v1/billing/webhook", {"data": MARK.encode(), "headers": {"Stripe-Signature": MARK}}),
    ("GET", f"/api/v1/billing/pages/{MARK}", {}),
    ("POST", "/api/v1/auth/login", {"json": {"email": f"{MARK}@example.com", "password": MARK}}),
    ("POST", "/api/v1/auth/refresh", {"json": {"refresh_token": MARK}}),
    ("POST", "/api/v1/auth/logout", {"json": {"refresh_token": MARK}}),
    ("GET", f"/{MARK}/nowhere?{MARK}={MARK}", {}),
    ("GET", f"/api/v1/chat/stream?token={MARK}&ticket={MARK}", {}),
    (MARK.upper(), "/api/v1/auth/me", {}),
    ("PROPFIND", f"/api/v1/{MARK}", {}),
]


@pytest.fixture
async def collector() -> AsyncIterator[OtlpDouble]:
    async with OtlpDouble() as collector:
        yield collector


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


@pytest.mark.timeout(180)
async def test_markers_that_are_planted_everywhere_come_out_nowhere(
    serve: Callable[..., Served], database_url: str, double: OpenAIDouble, collector: OtlpDouble, tmp_path: Path
) -> None:
    served = serve(
        DATABASE_URL=database_url,
        LLM_MODEL="openai/double",
        LLM_API_BASE=double.base_url,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        DEFAULT_TIER="team",
        BCRYPT_ROUNDS="10",
    )
    headers = {
        "User-Agent": MARK,
        "Accept-Language": MARK,
        "X-Whatever": MARK,
        "Cookie": f"{MARK}={MARK}",
        "X-Forwarded-For": MARK,
        "tracestate": f"{MARK}={MARK}",
        "baggage": f"{MARK}={MARK}",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    async with aiohttp.ClientSession(served.url, headers=headers) as session:
        account = {"email": f"{MARK}@example.com", "password": f"{MARK} password"}
        async with session.post("/api/v1/auth/register", json=account) as answer:
            assert answer.status == 201
            session.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
        await _chat(session, double)
        await _store(session)
        for method, path, more in REQUESTS:
            async with session.request(method, path, **more) as answer:
                assert answer.status != 500, path
        async with session.get("/metrics") as answer:
            metrics = await answer.text()
    assert await asyncio.to_thread(served.stop) == 0
    log = "".join(served.lines)
    assert metrics.count("\n") > 300
    assert len(collector.spans) > 100
    assert log.count("\n") > 30
    spans = b"".join(collector.bodies).decode(errors="replace")
    for what in (metrics, spans, log):
        found = what.lower().find(MARK)
        assert found < 0, what[max(0, found - 200) : found + 200]
    lines = [orjson.loads(line) for line in served.lines if line.startswith("{")]
    said = {line["event"] for line in lines if line.get("trace_id") == TRACE}
    assert {"request", "model call failed"} <= said  # the one by the request's task, the other by the agent's actor
    assert all("traceparent" not in line for line in lines)


async def _chat(session: aiohttp.ClientSession, double: OpenAIDouble) -> None:
    """Every way that a word can go: in, to tools, into a model's faults and out."""
    double.script(call("create_task", {"title": MARK}), call(MARK, {MARK: MARK}), say(f"{MARK} is done."))
    async with session.post("/api/v1/chat", json=CHAT) as answer:
        assert answer.status == 200, await answer.text()
        assert MARK in await answer.text()
    double.script(fail(400, code="odd", message=MARK))
    async with session.post("/api/v1/chat", json=CHAT) as answer:
        assert answer.status == 502
    double.script(say(f"{MARK} ", "and more", ending="drop"), call("list_tasks", f'{{"{MARK}'), say(MARK))
    async with session.ws_connect("/api/v1/chat/stream") as socket:
        for _ in range(2):
            await socket.send_json({**CHAT, "client_tools": False})
            while (await socket.receive_json())["type"] not in {"done", "error"}:
                pass
        await socket.send_str(MARK)
        await socket.send_json({"type": MARK})
        await socket.send_json({"type": "tool_result", "id": MARK, "error": MARK})
        assert (await socket.receive_json())["type"] == "error"


async def _store(session: aiohttp.ClientSession) -> None:
    body = MARK.encode()
    checked = {**OCTETS, "X-Checksum": hashlib.sha256(body).hexdigest(), "X-Backup-Version": MARK}
    checked |= {"X-Backup-Checksum": checked["X-Checksum"], "X-Backup-Timestamp": "2026-11-26T00:00:00Z"}
    async with session.post(f"/api/v1/storage/records?table={MARK}", data=body, headers=checked) as answer:
        record = await answer.json()
        assert (answer.status, record["table"]) == (201, MARK)
    async with session.get(f"/api/v1/storage/records/{record['id']}") as answer:
        assert await answer.read() == body
    async with session.put("/api/v1/backup", data=body, headers=checked) as answer:
        assert answer.status == 201, await answer.text()
    async with session.get(f"/api/v1/storage/records?table={MARK}") as answer:
        assert (await answer.json())["total"] == 1
