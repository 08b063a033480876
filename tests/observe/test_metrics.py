"""Each family of ``/metrics`` moves by what has happened, and by nothing else."""

import asyncio
import hashlib
import re
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

import adiuva.database
import adiuva.observe.lag
import adiuva.observe.listener
import adiuva.observe.metrics
from adiuva.app import ACTORS
from adiuva.runtime import Actor
from adiuva.settings import SettingsError
from adiuva.testing.openai_double import OpenAIDouble, call, fail, say
from adiuva.web.keys import DATABASE
from tests.chat.conftest import GatedModel, User, register
from tests.observe.conftest import API, Agent, Client, Start, figures, moved

BLOB = b"x" * 100_000
SENTENCE = "Here is what I think of your garden and of the roses in it today. "
CHAT = {"message": "Hello", "agents": ["task_agent"]}
LANE = 'lane="direct",model="openai/double"'


async def send(user: User, path: str, body: Any, method: str = "POST") -> int:
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": hashlib.sha256(BLOB).hexdigest()}
    headers |= {"X-Backup-Version": "1", "X-Backup-Timestamp": "2026-11-26T00:00:00Z"}
    headers |= {"X-Backup-Checksum": headers["X-Checksum"]}
    async with user.client.request(method, API + path, data=body, headers=headers | user.headers) as answer:
        return answer.status


async def until(client: Client, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The metrics, once they are so."""
    async with asyncio.timeout(20):
        while not holds(found := await figures(client)):
            await asyncio.sleep(0.01)
    return found


async def test_requests_are_counted_by_method_template_and_status(start: Start) -> None:
    user = await register(client := await start())
    before = await figures(client)
    for _ in range(3):
        await user.get("/auth/me")
    for path in ("one", "two"):
        assert (await user.get(f"/plugins/{path}"))[0] == 404
    await client.get("/nowhere/at/all")
    for method in ("PROPFIND", "MKCOL", "BREW"):  # the last is none that can be read
        await client.request(method, f"{API}/auth/me")
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"nonsense\r\n\r\n")
    await reader.read()
    writer.close()
    assert moved(before, await figures(client), "adiuva_http_requests") == {
        f'adiuva_http_requests_total{{method="GET",route="{API}/auth/me",status="200"}}': 3,
        f'adiuva_http_requests_total{{method="GET",route="{API}/plugins/{{id}}",status="404"}}': 2,
        'adiuva_http_requests_total{method="GET",route="none",status="404"}': 1,
        'adiuva_http_requests_total{method="other",route="none",status="405"}': 2,
        'adiuva_http_requests_total{method="other",route="none",status="400"}': 2,
        'adiuva_http_requests_total{method="GET",route="/metrics",status="200"}': 1,
    }


async def test_latencies_are_those_of_requests_and_not_of_open_sockets(start: Start, double: OpenAIDouble) -> None:
    user = await register(client := await start())
    gate = asyncio.Event()
    double.script(say("a", "b", gate=gate))
    before = await figures(client)
    chat = asyncio.create_task(user.post("/chat", CHAT))
    await double.wait_requests(1)
    began = time.monotonic()
    await (await user.socket()).close()
    await user.get("/auth/me")
    waited = time.monotonic() - began
    gate.set()
    assert (await chat)[0] == 200
    name = "adiuva_http_request_duration_seconds"
    change = moved(before, await figures(client), name)
    counts = {key: value for key, value in change.items() if key.startswith(f"{name}_count") and "/metrics" not in key}
    assert counts == {
        f'{name}_count{{method="POST",route="{API}/chat"}}': 1,
        f'{name}_count{{method="GET",route="{API}/auth/me"}}': 1,
    }
    assert waited <= change[f'{name}_sum{{method="POST",route="{API}/chat"}}'] < waited + 5
    assert change[f'{name}_bucket{{le="60.0",method="POST",route="{API}/chat"}}'] == 1


async def test_mailboxes_show_what_waits_runs_and_has_ended(start: Start) -> None:
    model = GatedModel()
    user = await register(client := await start(model, agent_concurrency=1, mailbox_capacity=2))
    before = await figures(client)
    chats = [asyncio.create_task(user.post("/chat", CHAT)) for _ in range(3)]
    busy = await until(client, lambda now: now['adiuva_mailbox_depth{actor="orchestrator"}'] == 2)
    assert busy['adiuva_mailbox_running{actor="orchestrator"}'] == 1
    assert busy['adiuva_mailbox_running{actor="task_agent"}'] == 1
    assert busy['adiuva_mailbox_depth{actor="task_agent"}'] == 0
    began = time.monotonic()
    assert (await user.post("/chat", CHAT))[0] == 503
    waited = time.monotonic() - began
    model.gate.set()
    assert [status for status, _ in await asyncio.gather(*chats)] == [200, 200, 200]
    change = moved(before, await figures(client), "adiuva_mailbox")
    assert {name: value for name, value in change.items() if "_sum" not in name} == {
        'adiuva_mailbox_messages_total{actor="orchestrator",outcome="handled"}': 3,
        'adiuva_mailbox_messages_total{actor="orchestrator",outcome="refused"}': 1,
        'adiuva_mailbox_messages_total{actor="task_agent",outcome="handled"}': 3,
        'adiuva_mailbox_wait_seconds_count{actor="orchestrator"}': 3,
        'adiuva_mailbox_wait_seconds_count{actor="task_agent"}': 3,
    }
    assert change['adiuva_mailbox_wait_seconds_sum{actor="orchestrator"}'] > 2 * waited


async def test_an_actor_that_does_not_start_shows(start: Start) -> None:
    class Stubborn(Actor):
        async def on_start(self) -> None:
            raise RuntimeError

    client = await start()
    assert (await figures(client))['adiuva_actor_ready{actor="task_agent"}'] == 1
    await client.app[ACTORS].start(Stubborn("stubborn"))
    failed = 'adiuva_actor_failed_starts_total{actor="stubborn"}'
    assert (await until(client, lambda now: now[failed] == 1))['adiuva_actor_ready{actor="stubborn"}'] == 0


async def test_model_calls_tokens_and_retries_are_counted_by_model_lane_and_outcome(
    start: Start, double: OpenAIDouble
) -> None:
    user = await register(client := await start())
    before = await figures(client)
    double.script(fail(500, headers={"retry-after-ms": "1"}), say("Hello"))
    assert (await user.post("/chat", CHAT))[0] == 200
    double.script(fail(401))
    assert (await user.post("/chat", CHAT))[0] == 503
    change = moved(before, await figures(client), "adiuva_model")
    assert {name: value for name, value in change.items() if "_sum" not in name and "_bucket" not in name} == {
        f'adiuva_model_calls_total{{{LANE},outcome="status"}}': 1,
        f'adiuva_model_calls_total{{{LANE},outcome="ok"}}': 1,
        f'adiuva_model_calls_total{{{LANE},outcome="key"}}': 1,
        f"adiuva_model_retries_total{{{LANE}}}": 1,
        f'adiuva_model_tokens_total{{{LANE},type="input"}}': 11,
        f'adiuva_model_tokens_total{{{LANE},type="output"}}': 5,
        f"adiuva_model_call_duration_seconds_count{{{LANE}}}": 3,
    }


async def test_requests_on_sockets_and_the_time_to_the_first_text_are_counted(
    start: Start, double: OpenAIDouble
) -> None:
    user = await register(client := await start())
    before = await figures(client)
    gate = asyncio.Event()
    double.script(say(SENTENCE, "b", gate=gate), say(SENTENCE, "never heard", gate=asyncio.Event()))
    stream = await user.socket()
    assert moved(before, await figures(client), "adiuva_sockets_open") == {"adiuva_sockets_open": 1}
    await stream.send_json(CHAT)
    assert (await stream.receive_json())["type"] == "chunk"
    began = time.monotonic()
    await asyncio.sleep(0.05)
    gate.set()
    while (await stream.receive_json())["type"] != "done":
        pass
    waited = time.monotonic() - began
    await stream.send_json(CHAT)
    assert (await stream.receive_json())["type"] == "chunk"
    await stream.send_json({"type": "cancel"})
    assert (await stream.receive_json())["type"] == "cancelled"
    change = moved(before, await figures(client), "adiuva_")
    assert change['adiuva_socket_requests_total{outcome="done"}'] == 1
    assert change['adiuva_socket_requests_total{outcome="cancelled"}'] == 1
    assert change["adiuva_socket_request_duration_seconds_count"] == 2
    assert change[f'adiuva_model_calls_total{{{LANE},outcome="cancelled"}}'] == 1
    assert change[f"adiuva_model_first_text_seconds_count{{{LANE}}}"] == 2
    whole = change[f"adiuva_model_call_duration_seconds_sum{{{LANE}}}"]
    assert change[f"adiuva_model_first_text_seconds_sum{{{LANE}}}"] <= whole - 0.05
    assert waited <= whole
    await stream.close()
    await until(client, lambda now: now["adiuva_sockets_open"] == 0)


async def test_redactions_are_counted_by_rule_and_refused_actions_by_agent_and_tool(
    start: Start, double: OpenAIDouble, agent: Agent
) -> None:
    user = await register(client := await start())
    before = await figures(client)
    double.script(say(f"Of course. {agent.instructions}"))
    assert "[REDACTED]" in (await user.post("/chat", CHAT))[1]["response"]
    double.script(call("update_task", {"task_id": "7"}), say("Done."))
    assert (await user.post("/chat", CHAT))[1]["actions"] == []
    after = await figures(client)
    assert moved(before, after, "adiuva_redactions") == {'adiuva_redactions_total{rule="task_agent"}': 1}
    assert moved(before, after, "adiuva_actions") == {
        'adiuva_actions_refused_total{agent="task_agent",tool="update_task"}': 1
    }


async def test_bytes_of_blobs_are_counted_both_ways(start: Start) -> None:
    user = await register(client := await start())
    before = await figures(client)
    assert await send(user, "/storage/records?table=notes&id=00000000-0000-0000-0000-000000000001", BLOB) == 201
    assert await send(user, "/backup", BLOB, "PUT") == 201
    record = f"{API}/storage/records/00000000-0000-0000-0000-000000000001"
    for headers, size in (({}, 100_000), ({"Range": "bytes=10-19"}, 10), ({"Range": "bytes=0-69999"}, 70_000)):
        async with client.get(record, headers={**user.headers, **headers}) as answer:
            assert len(await answer.read()) == size
    assert moved(before, await figures(client), "adiuva_blob") == {
        'adiuva_blob_bytes_total{direction="in"}': 200_000,
        'adiuva_blob_bytes_total{direction="out"}': 170_010,
    }


async def test_an_upload_shows_as_long_as_it_runs(start: Start) -> None:
    user = await register(client := await start())
    goes_on = asyncio.Event()

    async def body() -> Any:
        yield BLOB[:50_000]
        await goes_on.wait()
        yield BLOB[50_000:]

    upload = asyncio.create_task(send(user, "/storage/records?table=notes", body()))
    await until(client, lambda now: now["adiuva_uploads_running"] == 1)
    goes_on.set()
    assert await upload == 201
    assert (await figures(client))["adiuva_uploads_running"] == 0


async def test_refusals_for_want_of_room_are_counted_by_kind(start: Start) -> None:
    user = await register(client := await start(default_tier="free"))
    before = await figures(client)
    for _ in range(2):
        assert await send(user, "/storage/records?table=notes", BLOB) == 402
    assert await send(user, "/backup", BLOB, "PUT") == 402
    assert moved(before, await figures(client), "adiuva_quota") == {
        'adiuva_quota_refusals_total{kind="records"}': 2,
        'adiuva_quota_refusals_total{kind="backups"}': 1,
    }


async def test_the_pool_shows_its_connections_and_who_waits_for_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await register(client := await start())
    quiet = await figures(client)
    assert quiet["adiuva_database_connections_max"] == adiuva.database.POOL_MAX
    busy, idle = (f'adiuva_database_connections{{state="{state}"}}' for state in ("busy", "idle"))
    async with AsyncExitStack() as held:
        for _ in range(adiuva.database.POOL_MAX):
            await held.enter_async_context(client.app[DATABASE].acquire())
        full = await figures(client)
        assert (full[busy], full[idle], full["adiuva_database_waiting"]) == (adiuva.database.POOL_MAX, 0, 0)
        waits = asyncio.create_task(user.get("/auth/me"))
        await until(client, lambda now: now["adiuva_database_waiting"] == 1)
        monkeypatch.setattr(adiuva.database, "ACQUIRE_SECONDS", 0.01)
        assert (await user.get("/auth/me"))[0] == 503
    assert (await waits)[0] == 200
    after = await figures(client)
    assert after["adiuva_database_waiting"] == 0
    assert moved(quiet, after, "adiuva_database_given_up") == {"adiuva_database_given_up_total": 1}
    assert after[busy] + after[idle] <= adiuva.database.POOL_MAX


async def test_what_holds_the_event_loop_up_shows_as_lag(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adiuva.observe.lag, "INTERVAL", 0.02)
    client = await start()
    before = await until(client, lambda now: now["adiuva_event_loop_lag_seconds_count"] > 0)
    time.sleep(0.6)  # noqa: ASYNC251 - that is what it is about
    after = await until(client, lambda now: now["adiuva_event_loop_lag_seconds_sum"] > 0.5)
    late = 'adiuva_event_loop_lag_seconds_bucket{le="0.5"}'
    count = "adiuva_event_loop_lag_seconds_count"
    assert after[count] - after[late] == before[count] - before[late] + 1


async def test_however_often_it_is_asked_for_the_text_is_made_once_a_second(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    now = 1000.0
    monkeypatch.setattr(adiuva.observe.metrics, "KEPT_SECONDS", 1.0)
    monkeypatch.setattr(adiuva.observe.metrics, "monotonic", lambda: now)
    asked = 'adiuva_http_requests_total{method="GET",route="/metrics",status="200"}'
    assert [(await figures(client)).get(asked, 0) for _ in range(3)] == [0, 0, 0]
    now += 1.0
    assert (await figures(client))[asked] == 3


async def test_with_a_port_of_its_own_it_is_there_only_and_the_next_process_has_the_next_port(
    start: Start, unused_tcp_port: int
) -> None:
    with capture_logs() as logs:
        clients = [await start(metrics_port=unused_tcp_port) for _ in range(2)]
    places = [line["at"] for line in logs if line["event"] == "metrics"]
    # Others on this machine may have taken ports between.
    ports = [yarl.URL(place).port or 0 for place in places]
    assert unused_tcp_port <= ports[0] < ports[1]
    await register(clients[1])
    for client in clients:
        assert (await client.get("/metrics")).status == 404
    texts = []
    async with aiohttp.ClientSession() as session:
        for place in places:
            async with session.get(place) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                texts.append(await answer.text())
    assert [text.count(f'route="{API}/auth/register",status="201"') for text in texts] == [0, 1]


async def test_a_port_that_cannot_be_had_is_said(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adiuva.observe.listener, "PORTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"METRICS_PORT={port}: no port from {port} to {port} is free"):
            await start(metrics_port=port)


async def test_the_guide_lists_every_metric_and_no_other(start: Start) -> None:
    text = (Path(__file__).parents[2] / "docs" / "self-hosting.md").read_text()
    listed = set(re.findall(r"^\| `(adiuva_\w+)` \|", text, re.MULTILINE))
    client = await start()
    async with client.get("/metrics") as answer:
        said = set(re.findall(r"^# TYPE (adiuva_\w+) ", await answer.text(), re.MULTILINE))
    assert listed == said


async def test_two_applications_in_a_process_count_apart_and_give_text_that_prometheus_reads(start: Start) -> None:
    one, other = await start(), await start()
    await register(one)
    assert not moved(await figures(other), await figures(other), 'adiuva_http_requests_total{method="POST"')
    async with one.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(text_string_to_metric_families(await answer.text()))
    assert {"adiuva_info", "process_resident_memory_bytes", "adiuva_event_loop_lag_seconds"} <= {
        name for family in families for name in (family.name, f"{family.name}_info")
    }
    assert all(family.documentation and family.type != "unknown" for family in families)
