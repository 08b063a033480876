"""One request is one tree of spans, through mailboxes to the model; where nobody collects them there is nothing."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.observe.traces.provider import STOP_SECONDS
from adiuva.settings import Settings, SettingsError
from adiuva.testing.openai_double import OpenAIDouble, call, fail, say
from adiuva.testing.otlp_double import OtlpDouble, SpanSeen
from tests.chat.conftest import register
from tests.observe.conftest import API, MODEL, Client, Start

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
CHAT = {"message": "Hello", "agents": ["task_agent"]}
SERVER, CLIENT = 2, 3


@pytest.fixture
async def collector() -> AsyncIterator[OtlpDouble]:
    async with OtlpDouble() as collector:
        yield collector


@pytest.fixture
async def client(start: Start, collector: OtlpDouble) -> Client:
    return await start(otel_exporter_otlp_endpoint=collector.url)


def only(spans: list[SpanSeen]) -> SpanSeen:
    assert len(spans) == 1, spans
    return spans[0]


async def test_a_chat_with_a_tool_is_one_tree_from_the_request_to_the_model(
    client: Client, double: OpenAIDouble, collector: OtlpDouble
) -> None:
    user = await register(client)
    double.script(call("create_task", {"title": "Roses"}), say("Done."))
    headers = {**user.headers, "traceparent": TRACEPARENT, "tracestate": "vendor=secret", "baggage": "who=secret"}
    async with client.post(f"{API}/chat", json=CHAT, headers=headers) as answer:
        assert answer.status == 200
    await client.close()
    request = only(collector.named(f"POST {API}/chat"))
    assert (request.trace_id, request.parent_id, request.kind) == (TRACE, CALLER, SERVER)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": f"{API}/chat",
        "http.response.status_code": 200,
        "url.scheme": "http",
    }
    query = next(span for span in collector.under(request) if span.name == "SELECT")
    assert "FROM logins" in query.attributes["db.query.text"]
    assert query.attributes["db.system.name"] == "postgresql"
    assert query.kind == CLIENT
    orchestrator = only([span for span in collector.under(request) if span.name == "orchestrator"])
    agent = only(collector.under(orchestrator))
    assert agent.name == "invoke_agent task_agent"
    assert agent.attributes["gen_ai.agent.name"] == "task_agent"
    calls = collector.under(agent)
    assert [span.name for span in calls] == [f"chat {MODEL}"] * 2
    assert [span.attributes["gen_ai.response.finish_reasons"] for span in calls] == [["tool_calls"], ["stop"]]
    assert calls[0].kind == CLIENT
    assert calls[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.stream": False,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
    }
    sent = [only(collector.under(span)) for span in calls]
    assert [span.attributes["http.response.status_code"] for span in sent] == [200, 200]
    assert [request.headers["traceparent"] for request in double.requests] == [
        f"00-{TRACE}-{span.span_id}-01" for span in sent
    ]
    assert all("tracestate" not in request.headers and "baggage" not in request.headers for request in double.requests)
    for parent, child in ((request, orchestrator), (orchestrator, agent), (agent, calls[0]), (calls[0], sent[0])):
        assert parent.started <= child.started <= child.ended <= parent.ended
    assert collector.resource["service.name"] == "adiuva"


async def test_the_agents_of_a_pipeline_stand_side_by_side(
    client: Client, double: OpenAIDouble, collector: OtlpDouble
) -> None:
    user = await register(client)
    double.script(say("One."), say("Two."), say("One and two."))
    status, _ = await user.post("/chat", {"message": "Hello", "agents": ["task_agent", "checkpoint_agent"]})
    assert status == 200
    await client.close()
    orchestrator = only(collector.named("orchestrator"))
    assert [span.name for span in collector.under(orchestrator)] == [
        "invoke_agent task_agent",
        "invoke_agent checkpoint_agent",
        f"chat {MODEL}",
    ]


async def test_each_request_on_a_socket_is_a_trace_of_its_own_that_names_the_upgrade(
    client: Client, double: OpenAIDouble, collector: OtlpDouble
) -> None:
    user = await register(client)
    double.script(say("One."), say("Two."))
    socket = await user.socket()
    for _ in range(2):
        await socket.send_json(CHAT)
        while (await socket.receive_json())["type"] != "done":
            pass
    await socket.close()
    await client.close()
    upgrade = only(collector.named(f"GET {API}/chat/stream"))
    assert upgrade.attributes["http.response.status_code"] == 101
    first, second = collector.named("chat request")
    assert upgrade.ended <= first.started
    assert len({upgrade.trace_id, first.trace_id, second.trace_id}) == 3
    assert first.links == second.links == (upgrade.trace_id,)
    for request in (first, second):
        assert request.parent_id == ""
        agent = only(collector.under(only([s for s in collector.under(request) if s.name == "orchestrator"])))
        assert only(collector.under(agent)).attributes["gen_ai.request.stream"] is True


async def test_faults_are_named_by_code_and_a_retry_stands_in_its_call(
    client: Client, double: OpenAIDouble, collector: OtlpDouble
) -> None:
    user = await register(client)
    double.script(fail(500, headers={"retry-after-ms": "1"}), fail(400, message="secret"))
    assert (await user.post("/chat", CHAT))[0] == 502
    async with client.get(f"{API}/auth/me") as answer:
        assert answer.status == 401
    await client.close()
    asked = only(collector.named(f"chat {MODEL}"))
    assert [span.attributes["http.response.status_code"] for span in collector.under(asked)] == [500, 400]
    failed = [asked, *collector.named("invoke_agent task_agent"), *collector.named("orchestrator")]
    assert [(span.attributes["error.type"], span.failed) for span in failed] == [("llm_unavailable", True)] * 3
    request = only(collector.named(f"POST {API}/chat"))
    assert (request.attributes["error.type"], request.failed) == ("502", True)
    assert not only(collector.named(f"GET {API}/auth/me")).failed  # the client's fault, by the conventions
    assert b"secret" not in b"".join(collector.bodies)


async def test_a_cancel_ends_the_spans_down_to_the_request_to_the_model(
    client: Client, double: OpenAIDouble, collector: OtlpDouble
) -> None:
    user = await register(client)
    double.script(say("a", "b", gate=asyncio.Event()))
    chat = asyncio.create_task(user.post("/chat", CHAT))
    await double.wait_requests(1)
    chat.cancel()
    await double.wait_aborted()
    await client.close()
    for name in (f"POST {API}/chat", "orchestrator", "invoke_agent task_agent", f"chat {MODEL}", "POST"):
        assert only(collector.named(name)).attributes["error.type"] == "cancelled"


async def test_a_caller_that_does_not_record_is_not_recorded_here(client: Client, collector: OtlpDouble) -> None:
    for header in (f"00-{TRACE}-{CALLER}-00", "nonsense"):
        async with client.get(f"{API}/auth/me", headers={"traceparent": header}):
            pass
    for path in ("/metrics", f"{API}/health"):  # nor what machines ask all day
        async with client.get(path):
            pass
    await client.close()
    assert only(collector.spans).trace_id != TRACE


@pytest.mark.parametrize("stuck", [True, False])
async def test_a_collector_that_is_away_or_stuck_holds_up_no_request_and_no_stop(
    start: Start, double: OpenAIDouble, collector: OtlpDouble, monkeypatch: pytest.MonkeyPatch, *, stuck: bool
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    collector.stuck = stuck
    client = await start(otel_exporter_otlp_endpoint=collector.url if stuck else "http://127.0.0.1:1")
    user = await register(client)
    if stuck:
        await collector.asked.wait()
    double.respond = lambda _: say("Hello.")
    began = time.monotonic()
    for _ in range(10):
        assert (await user.post("/chat", CHAT))[0] == 200
    assert time.monotonic() - began < 5
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < STOP_SECONDS + 2


def test_without_a_collector_nothing_of_traces_is_loaded() -> None:
    script = (
        "import sys; from adiuva.app import create_app; from adiuva.settings import Settings;"
        "create_app(Settings(jwt_secret='x' * 32)); assert not any('opentelemetry' in name for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_collector_without_the_packages_for_it_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("adiuva.observe.traces.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    settings = Settings(jwt_secret="x" * 32, otel_exporter_otlp_endpoint="http://collector:4318")
    with pytest.raises(SettingsError, match=r"pip install 'adiuva\[otel\]'"):
        create_app(settings, registry=AgentRegistry())
