"""Observers are told what went out, behind the answer's back, and of their users and matters only."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer
from attrs import define, evolve, field

from adiuva.app import create_app
from adiuva.chat import observers as module
from adiuva.chat.registry import AgentRegistry, LoadedPlugin
from adiuva.errors import LlmUnavailableError
from adiuva.sdk import Action, ActionObserver, Agent, Context, PluginManifest, tool
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel, calling, turn
from adiuva.testing.slack_double import SlackDouble
from adiuva.web.keys import DATABASE
from adiuva_slack_notifier import SlackNotifier, adiuva_plugin
from tests.chat.conftest import TaskAgent, User, register

PLUGIN = "slack-notifier"  # one that the migrations bring, with read:tasks and read:checkpoints
TASK = turn(calling("create_task", title="A"))


class DiaryAgent(Agent):
    name = "diary_agent"
    description = "Keeps a diary."
    instructions = "You keep a diary."

    @tool(permission="write:notes")
    def create_note(self, ctx: Context, title: str) -> Action:
        """Create a note."""
        return Action("create_note", {"title": title})

    @tool(permission="write:tasks")
    def update_task(self, ctx: Context, task_id: str, project_id: str = "") -> Action:
        """Change a task."""
        return Action("update_task", {"task_id": task_id, "project_id": project_id})

    @tool(permission="write:tasks")
    def start_timer(self, ctx: Context) -> Action:
        """Start a timer."""
        return Action("start_timer")


@define(eq=False)
class Watcher(ActionObserver):
    """Remembers what it was told; may be made to wait or to fail."""

    name: str = "watcher"
    batch_seconds: float = 0.0
    told: list[tuple[list[str], Context]] = field(factory=list)
    gate: asyncio.Event | None = None
    fault: Exception | None = None
    entered: asyncio.Condition = field(factory=asyncio.Condition)

    async def observe(self, actions: Sequence[Action], ctx: Context) -> None:
        async with self.entered:
            self.told.append(([action.name for action in actions], ctx))
            self.entered.notify_all()
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10), self.entered:
            await self.entered.wait_for(lambda: len(self.told) >= count)

    @property
    def names(self) -> list[list[str]]:
        return [names for names, _ in self.told]


Start = Callable[..., Awaitable[User]]


@pytest.fixture
async def start(settings: Settings, model: ScriptedModel) -> AsyncIterator[Start]:
    """A server with these observers, which belong to the plugin, and a user who has it installed."""
    clients: list[TestClient[Any, Any]] = []

    async def run(*observers: ActionObserver, own: bool = False, installed: bool = True, **changes: Any) -> User:
        manifest = None if own else PluginManifest(id=PLUGIN, permissions=adiuva_plugin().permissions)
        plugin = LoadedPlugin(name="it", version="", agents=(), manifest=manifest, observers=observers)
        agents = LoadedPlugin(name="agents", version="", agents=(TaskAgent(), DiaryAgent()), manifest=None)
        registry = AgentRegistry(plugins=(plugin, agents))
        app = create_app(evolve(settings, default_tier="power", **changes), model=model, registry=registry)
        client: TestClient[Any, Any] = TestClient(TestServer(app))
        clients.append(client)
        await client.start_server()
        user = await register(client)
        if installed:
            await install(user)
        return user

    yield run
    for client in clients:
        await client.close()


async def install(user: User) -> None:
    """For all users that there are."""
    columns = "plugin_installations (user_id, plugin_id)"
    await run_sql(user, f"INSERT INTO {columns} SELECT id, '{PLUGIN}' FROM users ON CONFLICT DO NOTHING")


async def run_sql(user: User, sql: str) -> None:
    async with user.client.app[DATABASE].acquire() as conn:
        await conn.execute(sql)


def ask(agent: str = "task_agent", **context: Any) -> dict[str, Any]:
    return {"message": "Hi", "agents": [agent], "context": context}


async def test_an_observer_is_told_with_the_settings_of_its_plugin_and_the_time_of_the_client(
    start: Start, model: ScriptedModel
) -> None:
    watcher = Watcher()
    user = await start(watcher)
    model.add([TASK, "Done."])
    plugins = {PLUGIN: {"channel": "x"}, "other": {"secret": 1}}
    time_there = {"now": "2025-11-26T10:00:00Z", "timezone": "Europe/Berlin"}
    await user.post("/chat", ask(**time_there, plugins=plugins, tasks=[{"id": "t"}]))
    await watcher.wait(1)
    ((names, ctx),) = watcher.told
    assert names == ["create_task"]
    assert ctx.settings == {"channel": "x"}
    assert str(ctx.now) == "2025-11-26 11:00:00+01:00"
    assert (ctx.data, ctx.tier, ctx.history) == ({}, "power", [])
    assert ctx.http is not None


async def test_it_sees_actions_on_what_its_plugin_may_read_and_the_entries_that_they_name(
    start: Start, model: ScriptedModel
) -> None:
    watcher = Watcher()
    user = await start(watcher)
    update = calling("update_task", task_id="t1", project_id="p1")
    model.add([turn(calling("create_note", title="secret"), calling("start_timer"), update), "Done."])
    tasks = [{"id": "t1", "title": "Mine"}, {"id": "t2", "title": "Not named"}]
    await user.post("/chat", ask("diary_agent", tasks=tasks, projects=[{"id": "p1"}], notes=[{"id": "n1"}]))
    await watcher.wait(1)
    ((names, ctx),) = watcher.told
    assert names == ["update_task"]
    assert ctx.data == {"tasks": [{"id": "t1", "title": "Mine"}]}


async def test_the_operators_own_observer_is_told_everything_of_everyone(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher()
    user = await start(watcher, own=True, installed=False)
    model.add([turn(calling("create_note", title="a"), calling("start_timer")), "Done."])
    await user.post("/chat", ask("diary_agent"))
    await watcher.wait(1)
    assert watcher.names == [["create_note", "start_timer"]]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM plugin_installations",
        f"UPDATE plugins SET status = 'rejected' WHERE id = '{PLUGIN}'",
        "INSERT INTO subscriptions (user_id, tier) SELECT id, 'pro' FROM users",
        "UPDATE plugin_installations SET accepted_permissions = '{read:checkpoints}'",
        f"UPDATE plugins SET permissions = '{{read:checkpoints}}' WHERE id = '{PLUGIN}'",
    ],
)
async def test_who_has_no_such_plugin_or_has_not_accepted_is_not_observed(
    start: Start, model: ScriptedModel, sql: str
) -> None:
    watcher = Watcher()
    user = await start(watcher)
    model.add([TASK, "Done."] * 2)
    await user.post("/chat", ask())
    await watcher.wait(1)
    await run_sql(user, sql)
    await user.post("/chat", ask())
    await user.client.close()  # drains
    assert len(watcher.told) == 1


async def test_an_answer_does_not_wait_and_what_comes_meanwhile_is_one_batch(
    start: Start, model: ScriptedModel
) -> None:
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    model.add([TASK, "Done."] * 4)
    await user.post("/chat", ask())
    await watcher.wait(1)
    started = time.monotonic()
    for _ in range(3):
        assert (await user.post("/chat", ask()))[0] == 200
    assert time.monotonic() - started < 5
    assert watcher.names == [["create_task"]]
    watcher.gate.set()  # type: ignore[union-attr]
    await watcher.wait(2)
    assert watcher.names == [["create_task"], ["create_task"] * 3]


async def test_other_settings_are_another_batch(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    model.add([TASK, "Done."] * 5)
    await user.post("/chat", ask())
    await watcher.wait(1)
    for channel in "aab", "b", "b":
        await user.post("/chat", ask(plugins={PLUGIN: {"channel": channel}}))
    watcher.gate.set()  # type: ignore[union-attr]
    await watcher.wait(3)
    told = [(len(names), ctx.settings.get("channel")) for names, ctx in watcher.told]
    assert told == [(1, None), (1, "aab"), (2, "b")]


async def test_one_users_slow_observer_keeps_nobody_elses_actions_waiting(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    other = await register(user.client, "bob@example.com")
    await install(user)
    model.add([TASK, "Done."] * 2)
    await user.post("/chat", ask())
    await watcher.wait(1)
    await other.post("/chat", ask())
    await watcher.wait(2)
    assert len({ctx.user_id for _, ctx in watcher.told}) == 2
    watcher.gate.set()  # type: ignore[union-attr]


async def test_over_the_socket_what_went_out_is_told_also_where_the_answer_breaks_off(
    start: Start, model: ScriptedModel
) -> None:
    watcher = Watcher()
    user = await start(watcher)
    model.add([TASK, LlmUnavailableError()])
    socket = await user.socket()
    await socket.send_json(ask())
    frames = [await socket.receive_json(), await socket.receive_json()]
    assert [frame["type"] for frame in frames] == ["action", "error"]
    await watcher.wait(1)
    assert watcher.names == [["create_task"]]
    await socket.close()


async def test_what_no_client_has_been_given_is_not_told(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher()
    user = await start(watcher)
    model.add([TASK, LlmUnavailableError()])
    assert (await user.post("/chat", ask()))[0] == 502
    await user.client.close()
    assert watcher.told == []


async def test_a_fault_is_logged_by_its_class_and_the_next_is_told(start: Start, model: ScriptedModel) -> None:
    watcher, other = Watcher(fault=RuntimeError("the user's secret")), Watcher(name="other")
    user = await start(watcher, other)
    model.add([TASK, "Done."] * 2)
    with structlog.testing.capture_logs() as logs:
        await user.post("/chat", ask())
        await watcher.wait(1)
        await user.post("/chat", ask())
        await watcher.wait(2)
        await other.wait(1)
        await user.client.close()
    failed = [line for line in logs if line["event"] == "observer failed"]
    assert [(line["observer"], line["error"], line["lost"]) for line in failed] == [("watcher", "RuntimeError", 1)] * 2
    assert "secret" not in str(logs)


async def test_one_that_takes_too_long_is_stopped(
    start: Start, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OBSERVE_SECONDS", 0.05)
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    model.add([TASK, "Done."] * 2)
    with structlog.testing.capture_logs() as logs:
        await user.post("/chat", ask())
        await watcher.wait(1)
        await user.post("/chat", ask())
        await watcher.wait(2)
    assert "TimeoutError" in {line.get("error") for line in logs}


async def test_a_user_with_more_than_is_gathered_loses_the_rest_and_the_log_counts_it(
    start: Start, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    model.add([TASK, "Done."] * 5)
    await user.post("/chat", ask())
    await watcher.wait(1)
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            await user.post("/chat", ask())
        watcher.gate.set()  # type: ignore[union-attr]
        await watcher.wait(2)
    assert watcher.names == [["create_task"], ["create_task"] * 2]
    assert [line["lost"] for line in logs if line["event"] == "actions not observed"] == [1, 1]


async def test_a_full_mailbox_loses_actions_and_no_answer(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher, mailbox_capacity=1, agent_concurrency=1)
    model.add([TASK, "Done."] * 4)
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            assert (await user.post("/chat", ask()))[0] == 200
            await watcher.wait(1)
    dropped = [line for line in logs if line["event"] == "actions not observed"]
    assert [(line["error"], line["lost"]) for line in dropped] == [("overloaded", 1)] * 2
    watcher.gate.set()  # type: ignore[union-attr]


async def test_a_server_that_stops_lets_observers_finish_within_its_grace(start: Start, model: ScriptedModel) -> None:
    watcher = Watcher(batch_seconds=0.5)
    user = await start(watcher)
    model.add([TASK, "Done."])
    await user.post("/chat", ask())
    assert watcher.told == []  # still being gathered
    await user.client.close()
    assert watcher.names == [["create_task"]]


async def test_what_is_not_told_within_the_grace_is_counted(
    start: Start, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adiuva.app.OBSERVERS_SECONDS", 0.1)
    watcher = Watcher(gate=asyncio.Event())
    user = await start(watcher)
    model.add([TASK, "Done."] * 2)
    await user.post("/chat", ask())
    await watcher.wait(1)
    await user.post("/chat", ask())
    with structlog.testing.capture_logs() as logs:
        await user.client.close()
    assert [line["lost"] for line in logs if line["event"] == "actions not observed"] == [1, 1]


async def test_the_slack_notifier_posts_what_a_conversation_has_produced(start: Start, model: ScriptedModel) -> None:
    async with SlackDouble(gate=asyncio.Event()) as slack:
        user = await start(SlackNotifier(), plugin_networks=(ip_network("127.0.0.1/32"),))
        model.add([turn(calling("create_task", title="Call <the> bank", priority="high")), "Done."])
        started = time.monotonic()
        plugins = {PLUGIN: {"webhook_url": slack.webhook_url}}
        status, answer = await user.post("/chat", ask(plugins=plugins))
        assert (status, len(answer["actions"])) == (200, 1)
        assert time.monotonic() - started < 2  # and Slack has not even been asked
        await slack.wait_asked(1)
        assert slack.gate is not None
        slack.gate.set()
        await slack.wait_messages(1)
        assert slack.messages == ["*Adiuva*\n• Task created: Call &lt;the&gt; bank (high)"]


async def test_and_no_address_of_the_servers_own_network(start: Start, model: ScriptedModel) -> None:
    async with SlackDouble() as slack:
        user = await start(SlackNotifier())
        model.add([TASK, "Done."])
        with structlog.testing.capture_logs() as logs:
            await user.post("/chat", ask(plugins={PLUGIN: {"webhook_url": slack.webhook_url}}))
            await user.client.close()
        assert slack.asked == 0
        assert [line["reason"] for line in logs if line["event"] == "not posted"] == [
            "webhook_url may not be called from here"
        ]
