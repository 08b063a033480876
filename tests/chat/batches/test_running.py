"""How batches run: at low priority, at the tier of the moment, no more of them than it holds, until they are gone."""

import asyncio
import gc
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FunctionType, ModuleType
from typing import cast
from uuid import UUID

import orjson
import pytest
from aiohttp import web
from attrs import define, field

from adiuva import clock
from adiuva.app import ACTORS
from adiuva.auth import queries
from adiuva.auth.service import Auth
from adiuva.chat.agent_actor import AgentActor
from adiuva.chat.batches.service import BATCHES, Batches
from adiuva.chat.messages import AgentJob, ChatResult
from adiuva.chat.service import Chat
from adiuva.errors import LlmUnavailableError, OverloadedError, UnavailableError
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText
from adiuva.runtime import ActorContext
from adiuva.testing.models import ScriptedModel, calling, turn
from adiuva.web.access import Principal
from adiuva.web.keys import DATABASE
from tests.chat.batches.conftest import LIMITS, Client, ask
from tests.chat.conftest import GatedModel, Start, TaskAgent, register


def app_of(client: Client) -> web.Application:
    app: web.Application | None = client.user.client.app
    assert app is not None
    return app


def batches_of(client: Client) -> Batches:
    batches: Batches = app_of(client)[BATCHES]
    return batches


async def set_tier(client: Client, tier: str) -> None:
    async with app_of(client)[DATABASE].acquire() as conn:
        await queries.set_tier(conn, client.user.email, tier)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@define
class HeldModel:
    """Holds every call until the test opens the gate; knows how many are held at once."""

    gate: asyncio.Event = field(factory=asyncio.Event)
    begun: list[str] = field(factory=list)
    held: int = 0
    most: int = 0

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        self.begun.append(call.messages[-1].content)
        self.held += 1
        self.most = max(self.most, self.held)
        try:
            await self.gate.wait()
        finally:
            self.held -= 1
        return ModelTurn(text="Hello.")


# cancel, stop, expiry


async def test_delete_stops_the_running_model_calls_and_forgets(start: Start) -> None:
    model = GatedModel()
    client = Client(await register(await start(model, default_tier="power")))
    batch_id = await client.posted(*[ask()] * 5)
    await model.spoke.wait()
    assert await client.delete(batch_id) == 204
    assert model.ended.is_set()
    assert (await client.user.get(f"/batches/{batch_id}"))[0] == 404
    assert await client.delete(batch_id) == 404
    assert batches_of(client).store.bytes == 0
    assert not batches_of(client)._tasks


async def test_no_tool_runs_after_a_delete(client: Client, model: ScriptedModel, agent: TaskAgent) -> None:
    model.add([turn(calling("wait"))])
    batch_id = await client.posted(ask())
    await agent.entered.wait()
    assert await client.delete(batch_id) == 204
    agent.release.set()
    await asyncio.sleep(0)
    assert agent.finished == 0


async def test_a_delete_before_anything_began_leaves_nothing(client: Client, model: ScriptedModel) -> None:
    batch_id = await client.posted(ask())
    assert await client.delete(batch_id) == 204
    await until(lambda: not batches_of(client)._tasks)
    assert batches_of(client).store.bytes == 0


async def test_a_stop_cancels_what_runs_at_once(start: Start) -> None:
    model = GatedModel()
    client = Client(await register(await start(model, default_tier="power")))
    await client.posted(*[ask()] * 5)
    await client.posted(*[ask()] * 5)
    await model.spoke.wait()
    async with asyncio.timeout(3):
        await batches_of(client).stop()
    assert model.ended.is_set()
    status, problem = await client.post(ask())
    assert (status, problem["code"]) == (503, "going_away")


async def test_a_batch_is_gone_after_an_hour(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, default_tier="power", jwt_access_token_expire_minutes=600)))
    batch_id = await client.posted(ask())
    await until(lambda: model.held)
    batch = await client.get(batch_id)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=59))
    assert (await client.get(batch_id))["expires_at"] == batch["expires_at"]
    await batches_of(client).sweep()
    assert model.held == 1
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=61))
    assert (await client.user.get(f"/batches/{batch_id}"))[0] == 404
    assert (await client.user.get("/batches"))[1]["items"] == []
    await batches_of(client).sweep()
    assert model.held == 0
    assert batches_of(client).store.bytes == 0


async def test_what_has_expired_goes_by_itself(
    client: Client, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.add(["Hello."])
    await client.ran(ask())
    batches = batches_of(client)
    batches.sweep_seconds = 0.01
    await batches.start()
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=61))
    await until(lambda: not batches.store.all())


# what is held


def texts_reachable_from(root: object) -> str:
    """Every text that can be reached from ``root``, by following references, but not through code."""
    seen: set[int] = set()
    texts: list[str] = []
    waiting: list[object] = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | FunctionType | ModuleType | asyncio.AbstractEventLoop):
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes):
            texts.append(str(thing))
        waiting.extend(gc.get_referents(thing))
    return "\n".join(texts)


async def test_nothing_of_a_finished_batch_stands_in_the_clear(client: Client, model: ScriptedModel) -> None:
    model.add(["The answer is a plover.", "A lapwing.", LlmUnavailableError()])
    item = ask("What is a puffin?", id="a", context={"notes": [{"text": "razorbill"}]})
    batch_id = await client.posted(item, ask("And a guillemot?", use=["a"]), ask("A fulmar?"))
    await client.finished(batch_id)
    store = batches_of(client).store
    text = texts_reachable_from(store._batches)
    assert client.user.email in text
    for word in ("plover", "lapwing", "puffin", "razorbill", "guillemot", "fulmar", "llm_unavailable"):
        assert word not in text


async def test_a_finished_batch_takes_no_more_room_than_its_results(client: Client, model: ScriptedModel) -> None:
    model.add(["Hello."] * 3)
    batch_id = await client.posted(ask("x" * 9000, id="a"), ask(use=["a"]), ask(use=["a"]))
    await client.finished(batch_id)
    store = batches_of(client).store
    [batch] = store.all()
    assert store.bytes == batch.bytes
    sealed = sum(len(result.sealed) for result in batch.results)
    assert batch.bytes == 4096 + 3 * 2048 + sealed


async def test_a_batch_for_which_there_is_no_room_is_refused(client: Client, model: ScriptedModel) -> None:
    store = batches_of(client).store
    store.max_user_bytes = 20_000
    status, problem = await client.post(ask("x" * 16_000))
    assert (status, problem["code"]) == (503, "overloaded")
    store.max_user_bytes, store.max_bytes = 10**9, 20_000
    assert (await client.post(ask("x" * 16_000)))[0] == 503
    assert store.bytes == 0
    model.add(["Hello."])
    assert (await client.ran(ask()))["0"]["result"]["response"] == "Hello."


async def test_a_result_for_which_there_is_no_room_is_an_error(client: Client, model: ScriptedModel) -> None:
    store = batches_of(client).store
    store.max_user_bytes = 9000
    model.add(["x" * 9000])
    assert (await client.ran(ask()))["0"]["error"]["code"] == "overloaded"
    assert store.bytes < 9000


async def test_a_result_beyond_reason_is_an_error(client: Client, model: ScriptedModel) -> None:
    model.add(["x" * 300_000])
    assert (await client.ran(ask()))["0"]["error"]["code"] == "payload_too_large"


# how many


async def test_twenty_posts_at_once_never_exceed_the_tier(start: Start) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, rate_limits=LIMITS)))
    answers = await asyncio.gather(*(client.post(ask()) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [202] * 2 + [402] * 18
    assert {answer["code"] for status, answer in answers if status == 402} == {"batch_limit_reached"}
    model.gate.set()
    for batch in (await client.user.get("/batches"))[1]["items"]:
        await client.finished(batch["id"])
    assert (await client.post(ask()))[0] == 202  # a finished batch is not active


@pytest.mark.parametrize("tier, allowed", [("free", 2), ("pro", 10), ("power", 25)])
async def test_a_tier_holds_so_many_active_batches(start: Start, tier: str, allowed: int) -> None:
    client = Client(await register(await start(HeldModel(), default_tier=tier, rate_limits=LIMITS)))
    statuses = [(await client.post(ask()))[0] for _ in range(25)]
    assert statuses == [202] * allowed + [402] * (25 - allowed)


async def test_a_deleted_batch_makes_room(start: Start) -> None:
    client = Client(await register(await start(HeldModel(), rate_limits=LIMITS)))
    batch_id = await client.posted(ask())
    await client.posted(ask())
    assert (await client.post(ask()))[0] == 402
    await client.delete(batch_id)
    assert (await client.post(ask()))[0] == 202


async def test_an_upgrade_counts_for_the_next_batch(start: Start) -> None:
    client = Client(await register(await start(HeldModel(), rate_limits=LIMITS)))
    for _ in range(2):
        await client.posted(ask())
    await set_tier(client, "pro")
    assert (await client.post(ask()))[0] == 202


# who it is run for


async def test_each_item_runs_at_the_tier_of_that_moment(
    client: Client, model: ScriptedModel, agent: TaskAgent
) -> None:
    model.add([turn(calling("wait")), turn(calling("wait")), "Done.", "Done."])
    batch_id = await client.posted(ask(), ask(), ask(agents=["checkpoint_agent"]))
    await agent.entered.wait()
    await set_tier(client, "free")
    agent.release.set()
    batch = await client.finished(batch_id)
    assert (batch["done"], batch["failed"]) == (2, 1)
    assert (await client.results(batch_id))["2"]["error"]["code"] == "tier_required"


async def test_after_a_logout_nothing_more_is_run(client: Client, model: ScriptedModel, agent: TaskAgent) -> None:
    model.add([turn(calling("wait")), turn(calling("wait")), "Done.", "Done."])
    batch_id = await client.posted(ask(), ask(), ask(), ask())
    await agent.entered.wait()
    await client.user.client.post("/api/v1/auth/logout", json={"refresh_token": client.user.tokens["refresh_token"]})
    agent.release.set()
    [batch] = batches_of(client).store.all()
    await until(lambda: not batch.active)
    assert [result.status for result in batch.results[2:]] == ["failed", "failed"]
    assert str(batch.id) == batch_id
    assert len(model.calls) <= 4


# at low priority


async def test_a_batch_runs_a_few_items_at_once(start: Start) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, default_tier="power", rate_limits=LIMITS)))
    for _ in range(5):
        await client.posted(*[ask()] * 10)
    await until(lambda: model.held == 2)
    for _ in range(20):
        await client.user.get("/batches")
    assert model.most == 2


async def test_a_batch_waits_while_the_agents_are_busy(start: Start) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, default_tier="power", rate_limits=LIMITS, agent_concurrency=4)))
    chats = [asyncio.create_task(client.user.post("/chat", ask("chat"))) for _ in range(3)]
    await until(lambda: model.held == 3)
    batch_id = await client.posted(ask("item"))
    for _ in range(20):
        await client.get(batch_id)
    assert model.begun == ["chat"] * 3
    model.gate.set()
    await asyncio.gather(*chats)
    await client.finished(batch_id)
    assert model.begun == ["chat"] * 3 + ["item"]


async def test_a_full_batch_delays_another_user_by_no_more_than_what_runs(start: Start) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, default_tier="power", rate_limits=LIMITS, agent_concurrency=1)))
    for _ in range(3):
        await client.posted(*[ask("item")] * 100)
    await until(lambda: model.held == 1)
    other = await register(client.user.client, "bob@example.com")
    chat = asyncio.create_task(other.post("/chat", ask("chat")))
    await until(lambda: app_of(client)[ACTORS].ref("orchestrator").counters().queued)
    model.gate.set()
    assert (await chat)[0] == 200
    assert model.begun.index("chat") == 1


async def test_two_users_batches_take_turns(start: Start) -> None:
    model = HeldModel()
    client = Client(await register(await start(model, default_tier="power", rate_limits=LIMITS, agent_concurrency=1)))
    long = await client.posted(*[ask("long")] * 50)
    await until(lambda: model.held == 1)
    other = Client(await register(client.user.client, "bob@example.com"))
    short = await other.posted(ask("short"))
    model.gate.set()
    batches_of(client).runner.pacing.sleep = lambda _: asyncio.sleep(0)
    await other.finished(short)
    await client.finished(long)
    assert model.begun.index("short") <= 4


async def test_an_item_refused_by_a_full_mailbox_is_tried_again(start: Start) -> None:
    model = HeldModel()
    settings = {"default_tier": "power", "rate_limits": LIMITS, "agent_concurrency": 1, "mailbox_capacity": 1}
    client = Client(await register(await start(model, **settings)))
    runner = batches_of(client).runner
    runner.wait_initial = runner.wait_max = 0.01
    runner.pacing.mailboxes = ()  # it does not look before it asks
    chats = [asyncio.create_task(client.user.post("/chat", ask("chat"))) for _ in range(2)]
    orchestrator = app_of(client)[ACTORS].ref("orchestrator")
    await until(lambda: orchestrator.counters().queued)
    batch_id = await client.posted(ask("item"))
    await until(lambda: orchestrator.counters().refused)
    model.gate.set()
    assert [status for status, _ in await asyncio.gather(*chats)] == [200, 200]
    assert (await client.finished(batch_id))["done"] == 1


async def test_who_was_chosen_is_not_chosen_anew_when_their_mailbox_was_full(
    start: Start, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [OverloadedError(retry_after=1)] * 3
    answer = AgentActor.receive

    async def receive(actor: AgentActor, payload: AgentJob, ctx: ActorContext) -> ChatResult:
        if refusals:
            raise refusals.pop()
        return await answer(actor, payload, ctx)

    monkeypatch.setattr(AgentActor, "receive", receive)
    client = Client(await register(await start(default_tier="power", rate_limits=LIMITS)))
    runner = batches_of(client).runner
    runner.wait_initial = runner.wait_max = 0.01
    model.add(['{"agents": ["checkpoint_agent"]}', "Hello."])
    results = await client.ran({"message": "Which?"})
    assert results["0"]["result"]["response"] == "Hello."
    assert results["0"]["result"]["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}
    assert "You keep the user's checkpoints." in model.calls[1].messages[0].content
    assert not refusals


async def test_without_any_agent_an_item_fails_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chat, "open_agents", lambda *_: ())
    results = await client.ran({"message": "Hi"})
    assert "No agent is installed on this server." in results["0"]["error"].values()


async def test_an_item_outlasts_a_database_that_is_away_for_a_moment(client: Client, model: ScriptedModel) -> None:
    runner = batches_of(client).runner
    runner.wait_initial = runner.wait_max = 0.01
    auth, faults = runner.auth, [UnavailableError(), None, UnavailableError()]

    class Flickering:
        async def refresh_principal(self, login_id: UUID, expires_at: datetime) -> Principal:
            if faults and (fault := faults.pop(0)):
                raise fault
            return await auth.refresh_principal(login_id, expires_at)

    runner.auth = cast("Auth", Flickering())
    model.add(["Hello."])
    assert (await client.ran(ask()))["0"]["result"]["response"] == "Hello."
    assert not faults


# the rate limit


async def test_items_wait_for_the_users_minute_and_leave_half_of_it(start: Start, model: ScriptedModel) -> None:
    limits = {**LIMITS, "power": 40}
    client = Client(await register(await start(default_tier="power", rate_limits=limits)))
    waited = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert 0 < seconds <= 60
        waited.set()
        await asyncio.Event().wait()

    batches_of(client).runner.pacing.sleep = sleep
    model.add(["Hello."] * 20)
    batch_id = await client.posted(*[ask()] * 30)  # the POST is one
    async with asyncio.timeout(10):
        await waited.wait()
    [batch] = batches_of(client).store.all()
    await until(lambda: len(batch.results) == 20)
    for _ in range(19):
        assert (await client.user.get(f"/batches/{batch_id}"))[0] == 200
    assert (await client.user.get(f"/batches/{batch_id}"))[0] == 429


async def test_a_user_who_is_at_the_limit_is_not_overtaken_by_a_batch(start: Start, model: ScriptedModel) -> None:
    limits = {**LIMITS, "power": 4}
    client = Client(await register(await start(default_tier="power", rate_limits=limits)))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.Event().wait()

    batches_of(client).runner.pacing.sleep = sleep
    for _ in range(3):
        await client.user.get("/agents")
    await client.posted(ask())
    await until(lambda: slept)
    assert not model.calls


# the batch builder


async def test_an_item_may_use_earlier_results(client: Client, model: ScriptedModel) -> None:
    def answer(call: ModelCall) -> ModelTurn | str:
        asked = call.messages[-1]
        if asked.role == "tool":
            return "Made."
        return turn(calling("create_task", title="Milk")) if asked.content == "Make" else f"Did {asked.content}."

    model.add([answer] * 4)
    results = await client.ran(ask("Make", id="a"), ask("b", id="b"), ask("c", id="c", use=["b", "a", "b"]))
    assert results["c"]["result"]["response"] == "Did c."
    [prompt] = [call.messages[0].content for call in model.calls if call.messages[-1].content == "c"]
    _, _, seen = prompt.partition("as JSON:\n")
    assert orjson.loads(seen) == [
        {"item": "b", "response": "Did b.", "actions": []},
        {
            "item": "a",
            "response": "Made.",
            "actions": [{"action": "create_task", "params": {"title": "Milk", "priority": "low"}}],
        },
    ]
    assert all("as JSON" not in call.messages[0].content for call in model.calls if call.messages[-1].content == "b")


async def test_what_uses_a_failed_item_fails(client: Client, model: ScriptedModel) -> None:
    model.add([LlmUnavailableError()])
    results = await client.ran(ask(id="a"), ask(id="b", use=["a"]), ask(id="c", use=["b"]))
    assert {key: result["error"]["code"] for key, result in results.items()} == {
        "a": "llm_unavailable",
        "b": "dependency_failed",
        "c": "dependency_failed",
    }
    assert len(model.calls) == 1


async def test_a_result_stays_until_all_that_use_it_have_run(
    client: Client, model: ScriptedModel, agent: TaskAgent
) -> None:
    def answer(call: ModelCall) -> ModelTurn | str:
        if call.messages[-1].content == "wait":
            return turn(calling("wait"))
        return "It was a plover." if "before you" not in call.messages[0].content else "Hello."

    model.add([answer] * 4)
    batch_id = await client.posted(ask(id="a"), ask("wait", use=["a"]), ask(use=["a"]))
    await agent.entered.wait()
    store = batches_of(client).store
    assert "plover" in texts_reachable_from(store._batches)
    agent.release.set()
    await client.finished(batch_id)
    assert "plover" not in texts_reachable_from(store._batches)


@pytest.mark.parametrize("tier, expected", [("free", 403), ("pro", 403), ("power", 202), ("team", 202)])
async def test_the_builder_needs_its_tier(start: Start, tier: str, expected: int) -> None:
    client = Client(await register(await start(HeldModel(), default_tier=tier, rate_limits=LIMITS)))
    status, answer = await client.post(ask(id="a"), ask(use=["a"]))
    assert status == expected
    assert expected == 202 or answer["code"] == "tier_required"


async def test_a_builder_that_lost_the_tier_runs_no_further(
    client: Client, model: ScriptedModel, agent: TaskAgent
) -> None:
    model.add([turn(calling("wait")), "Done."])
    batch_id = await client.posted(ask(id="a"), ask(id="b", use=["a"]))
    await agent.entered.wait()
    await set_tier(client, "pro")
    agent.release.set()
    await client.finished(batch_id)
    assert (await client.results(batch_id))["b"]["error"]["code"] == "tier_required"
