"""``/batches``: what is run, how it is sealed, who sees it."""

import asyncio
import base64
from typing import Any
from uuid import UUID

import pytest
from nacl.public import PrivateKey, SealedBox

from adiuva.errors import LlmUnavailableError
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.batches.conftest import LIMITS, Client, ask
from tests.chat.conftest import Start, TaskAgent, register


async def test_a_batch_runs_and_each_result_is_sealed_to_the_client(client: Client, model: ScriptedModel) -> None:
    model.add([turn(calling("create_task", title="Buy milk")), "Done."])
    status, batch = await client.post(ask("Buy milk", id="milk"))
    assert status == 202
    assert UUID(batch["id"]).version == 4
    assert batch["status"] == "queued"
    assert (batch["total"], batch["done"], batch["failed"]) == (1, 0, 0)
    assert batch["created_at"].endswith("Z")
    finished = await client.finished(batch["id"])
    assert (finished["total"], finished["done"], finished["failed"]) == (1, 1, 0)
    result = (await client.results(batch["id"]))["milk"]["result"]
    assert result["response"] == "Done."
    assert result["usage"] == {"prompt_tokens": 22, "completion_tokens": 10}
    [action] = result["actions"]
    assert (action["action"], action["params"]["title"]) == ("create_task", "Buy milk")


async def test_nobody_else_can_open_a_result(client: Client, model: ScriptedModel) -> None:
    model.add(["Hello."])
    batch_id = await client.posted(ask())
    await client.finished(batch_id)
    _, answer = await client.user.get(f"/batches/{batch_id}/results")
    [item] = answer["items"]
    assert item.keys() == {"id", "status", "sealed"}
    with pytest.raises(Exception, match="decrypt"):
        SealedBox(PrivateKey.generate()).decrypt(base64.b64decode(item["sealed"]))


async def test_items_without_an_id_are_known_by_their_position(client: Client, model: ScriptedModel) -> None:
    model.add(["Hello."] * 3)
    assert set(await client.ran(ask(), ask(id="mine"), ask())) == {"0", "mine", "2"}


async def test_a_hundred_items_run(client: Client, model: ScriptedModel) -> None:
    model.add([lambda call: call.messages[-1].content.upper()] * 100)
    results = await client.ran(*(ask(f"say {number}") for number in range(100)))
    assert {key: value["result"]["response"] for key, value in results.items()} == {
        str(number): f"SAY {number}" for number in range(100)
    }


async def test_a_failing_item_is_counted_and_its_problem_sealed(client: Client, model: ScriptedModel) -> None:
    model.add([lambda call: LlmUnavailableError() if call.messages[-1].content == "fail" else "Hello."] * 3)
    batch_id = await client.posted(ask(), ask("fail"), ask())
    batch = await client.finished(batch_id)
    assert (batch["done"], batch["failed"]) == (2, 1)
    error = (await client.results(batch_id))["1"]["error"]
    assert (error["code"], error["status"]) == ("llm_unavailable", 502)


async def test_what_nobody_foresaw_does_not_show(client: Client, model: ScriptedModel) -> None:
    model.add([RuntimeError("the user's secret"), "Hello."])
    results = await client.ran(ask(), ask())
    errors = [result["error"] for result in results.values() if "error" in result]
    assert [error["code"] for error in errors] == ["internal_error"]
    assert "secret" not in str(errors)


async def test_results_come_while_the_batch_runs(client: Client, model: ScriptedModel, agent: TaskAgent) -> None:
    model.add([lambda call: turn(calling("wait")) if call.messages[-1].content == "wait" else "Hello."] * 2 + ["Done."])
    batch_id = await client.posted(ask("wait"), ask("go"))
    await agent.entered.wait()
    async with asyncio.timeout(10):
        while not (results := await client.results(batch_id)):
            await asyncio.sleep(0.01)
    assert list(results) == ["1"]
    batch = await client.get(batch_id)
    assert (batch["status"], batch["done"]) == ("running", 1)
    agent.release.set()
    await client.finished(batch_id)
    assert list(await client.results(batch_id)) == ["1", "0"]  # a page that was read does not change


async def test_lists_come_in_pages(client: Client, model: ScriptedModel) -> None:
    model.add(["Hello."] * 5)
    batch_ids = [await client.posted(ask()) for _ in range(2)]
    batch_ids.append(await client.posted(ask(), ask(), ask()))
    for batch_id in batch_ids:
        await client.finished(batch_id)
    _, first = await client.user.get("/batches?limit=2")
    assert [batch["id"] for batch in first["items"]] == [batch_ids[2], batch_ids[1]]
    assert (first["page"], first["limit"], first["total"]) == (1, 2, 3)
    _, second = await client.user.get("/batches?limit=2&page=2")
    assert [batch["id"] for batch in second["items"]] == [batch_ids[0]]
    _, results = await client.user.get(f"/batches/{batch_ids[2]}/results?limit=2&page=2")
    assert (len(results["items"]), results["total"]) == (1, 3)


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "page=-1", "limit=0", "limit=201", "limit=1.5", "page=" + "9" * 30]
)
async def test_a_page_that_is_none_is_refused(client: Client, query: str) -> None:
    status, problem = await client.user.get(f"/batches?{query}")
    assert (status, problem["errors"][0]["field"]) == (422, query.split("=", maxsplit=1)[0])


async def test_anothers_batch_is_not_found(client: Client, model: ScriptedModel) -> None:
    model.add(["Hello."])
    batch_id = await client.posted(ask())
    other = Client(await register(client.user.client, "eve@example.com"))
    for path in (f"/batches/{batch_id}", f"/batches/{batch_id}/results"):
        assert (await other.user.get(path))[0] == 404
    assert await other.delete(batch_id) == 404
    assert (await other.user.get("/batches"))[1]["total"] == 0
    assert (await client.finished(batch_id))["done"] == 1


@pytest.mark.parametrize("batch_id", ["nonsense", "8f14e45f-ceea-467a-9575-5a8ad1ad6f9b", "%00"])
async def test_an_unknown_batch_is_not_found(client: Client, batch_id: str) -> None:
    status, problem = await client.user.get(f"/batches/{batch_id}")
    assert (status, problem["code"]) == (404, "not_found")
    assert await client.delete(batch_id) == 404


def key(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("public_key", [None, 5, "", "not base64!", key(bytes(31)), key(bytes(33)), key(bytes(32))])
async def test_a_key_that_cannot_seal_is_refused(client: Client, public_key: object) -> None:
    status, problem = await client.user.post("/batches", {"public_key": public_key, "items": [ask()]})
    assert (status, problem["errors"][0]["field"]) == (422, "public_key")


@pytest.mark.parametrize(
    "items, field",
    [
        ([], "items"),
        ([ask()] * 101, "items"),
        ([{}], "items[0].message"),
        ([ask(), ask("")], "items[1].message"),
        ([ask(), ask(mode="dance")], "items[1].mode"),
        ([ask(), ask(agents=["nobody"])], "items[1].agents[0]"),
        ([ask(), ask(model="nobody/knows")], "items[1].model"),
        ([ask(context={"tasks": 5})], "items[0].context.tasks"),
        ([ask(id="a b")], "items[0].id"),
        ([ask(id="")], "items[0].id"),
        ([ask(id="x" * 65)], "items[0].id"),
        ([ask(id="a"), ask(id="a")], "items[1].id"),
        ([ask(), ask(id="0")], "items[1].id"),
        ([ask(use=["b"])], "items[0].use[0]"),
        ([ask(id="a", use=["a"])], "items[0].use[0]"),
        ([ask(id="a", use=["b"]), ask(id="b")], "items[0].use[0]"),
        ([ask(id="a", use=["b"]), ask(id="b", use=["a"])], "items[0].use[0]"),
        ([ask(id="a"), ask(use=["a", "c"])], "items[1].use[1]"),
        ([ask(use=["a"] * 11)], "items[0].use"),
        ([ask(id="a", mode="plan"), ask(use=["a"])], "items[1].use[0]"),
        ([ask(id="a"), ask(mode="plan", use=["a"])], "items[1].use"),
    ],
)
async def test_a_wrong_item_names_the_field(client: Client, model: ScriptedModel, items: list[Any], field: str) -> None:
    status, problem = await client.post(*items)
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert not model.calls
    assert (await client.user.get("/batches"))[1]["total"] == 0


async def test_an_agent_closed_to_the_tier_is_refused_at_once(start: Start) -> None:
    client = Client(await register(await start(rate_limits=LIMITS)))
    status, problem = await client.post(ask(), ask(agents=["checkpoint_agent"]))
    assert (status, problem["code"]) == (403, "tier_required")


async def test_a_body_over_the_limit_is_refused(client: Client) -> None:
    status, problem = await client.post(*[ask(context={"x": "y" * 200_000}) for _ in range(25)])
    assert (status, problem["code"]) == (413, "payload_too_large")


async def test_items_may_be_plans(client: Client, model: ScriptedModel) -> None:
    results = await client.ran(ask(mode="plan"))
    assert results["0"]["result"]["plan"]["steps"]


async def test_batches_need_a_login(start: Start) -> None:
    client = await start()
    async with client.post("/api/v1/batches", json={}) as answer:
        assert answer.status == 401
