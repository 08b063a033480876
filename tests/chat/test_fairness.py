"""One user's many requests do not stand in another user's way."""

import asyncio

from adiuva.app import ACTORS
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText
from tests.chat.conftest import Start, register

MANY, AT_ONCE = 50, 4


class Turns:
    """Answers one call each time that the test lets it, in the order in which they came."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.permits = asyncio.Semaphore(0)

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        await self.permits.acquire()
        self.order.append(call.messages[-1].content)
        return ModelTurn(text="ok")


async def test_a_single_request_waits_for_those_that_run_and_no_more(start: Start) -> None:
    model = Turns()
    limits = dict.fromkeys(("free", "pro", "power", "team"), 1000)
    client = await start(model, agent_concurrency=AT_ONCE, rate_limits=limits)
    greedy, modest = await register(client), await register(client, "grace@example.com")
    body = {"agents": ["task_agent"]}
    many = [asyncio.create_task(greedy.post("/chat", {**body, "message": f"many {n}"})) for n in range(MANY)]
    orchestrator = client.app[ACTORS].ref("orchestrator")
    while orchestrator.counters().queued < MANY - AT_ONCE:
        await asyncio.sleep(0.001)
    one = asyncio.create_task(modest.post("/chat", {**body, "message": "one"}))
    while orchestrator.counters().queued < MANY - AT_ONCE + 1:
        await asyncio.sleep(0.001)
    for _ in range(MANY + 1):
        model.permits.release()
    assert (await one)[0] == 200
    assert {status for status, _ in await asyncio.gather(*many)} == {200}
    assert model.order.index("one") <= AT_ONCE + 1  # those that ran, and one whose turn it was
