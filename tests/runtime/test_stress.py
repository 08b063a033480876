"""Everything at once, at random: no asker is lost, and every message is counted once."""

import asyncio
import contextlib
import gc
import random
from collections import Counter
from typing import Any

import pytest
import uvloop

from adiuva.errors import AdiuvaError, DeadlineExceededError, GoingAwayError, OverloadedError
from adiuva.runtime import ActorContext, ActorRef, ActorSystem, RequestCancelledError
from tests.runtime.conftest import FunctionActor

ASKS = 400


class Crowd:
    """Actors that do anything a handler may do, and askers that do anything to them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.system = ActorSystem(patience=0.02)
        self.outcomes: Counter[str] = Counter()
        self.refs: list[ActorRef] = []
        self.inside: Counter[str] = Counter()

    async def fill(self) -> None:
        for number in range(4):
            concurrency = self.random.choice([1, 2, 5])
            actor = FunctionActor(f"actor {number}", self.receive, capacity=20, concurrency=concurrency)
            self.refs.append(await self.system.start(actor))

    async def receive(self, depth: int, ctx: ActorContext) -> int:
        for _ in range(self.random.randint(0, 4)):
            step = self.random.randrange(8)
            if step == 0 and depth < 3:
                # An actor never asks one before it, so that none waits for itself.
                ref = self.refs[min(depth + 1, len(self.refs) - 1)]
                await ctx.ask(ref, depth + 1, forward=self.random.random() < 0.5)
            elif step == 1:
                await ctx.emit(depth)
            elif step == 2:
                raise AdiuvaError
            elif step == 3:
                try:
                    async with asyncio.timeout(self.random.random() / 500):
                        await asyncio.sleep(self.random.random() / 500)
                except TimeoutError:
                    pass
            elif step == 4 and self.random.random() < 0.2:
                await self.ignore_cancels()
            else:
                await asyncio.sleep(self.random.choice([0, 0, 0.001]))
        return depth

    async def ignore_cancels(self) -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    def terms(self) -> dict[str, Any]:
        timeout = self.random.choice([None, None, self.random.random() / 100])
        return {"user": self.random.choice("abc"), "timeout": timeout}

    async def asker(self) -> None:
        depth = self.random.randrange(3)
        ref = self.refs[depth]
        try:
            if self.random.random() < 0.5:
                assert await ref.ask(depth, **self.terms()) == depth
            else:
                await self.listen(ref, depth)
            self.outcomes["answered"] += 1
        except AdiuvaError as error:
            self.outcomes[type(error).__name__] += 1

    async def listen(self, ref: ActorRef, depth: int) -> None:
        async with ref.stream(depth, buffer=1, **self.terms()) as session:
            async for _ in session:
                if self.random.random() < 0.1:
                    self.outcomes["left early"] += 1
                    return
                if self.random.random() < 0.1:
                    await session.cancel()
            session.result()

    def tell(self) -> None:
        depth = self.random.randrange(3)
        with contextlib.suppress(OverloadedError):
            self.refs[depth].tell(depth)

    async def run(self) -> list[asyncio.Task[None]]:
        await self.fill()
        askers = []
        for _ in range(ASKS):
            askers.append(asyncio.create_task(self.asker()))
            if self.random.random() < 0.1:
                self.tell()
            if self.random.random() < 0.3:
                self.random.choice(askers).cancel()
            if self.random.random() < 0.5:
                await asyncio.sleep(self.random.choice([0, 0, 0.001]))
        return askers


@pytest.mark.parametrize("seed", range(8))
def test_no_asker_is_lost_and_the_counters_add_up(seed: int) -> None:
    run = uvloop.run if seed % 2 else asyncio.run
    run(everything_at_once(seed))


async def everything_at_once(seed: int) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    crowd = Crowd(seed)
    askers = await crowd.run()
    await crowd.system.stop(crowd.random.choice([0, 0.01, 10]))

    done, pending = await asyncio.wait(askers, timeout=10)
    assert not pending
    for asker in done:
        assert asker.cancelled() or asker.exception() is None
    known = {error.__name__ for error in (AdiuvaError, DeadlineExceededError, GoingAwayError, OverloadedError)}
    assert set(crowd.outcomes) <= known | {"answered", "left early", RequestCancelledError.__name__}
    assert sum(crowd.outcomes.values()) >= ASKS / 4
    for ref in crowd.refs:
        counters = ref.counters()
        assert (counters.state, counters.queued, counters.running) == ("stopped", 0, 0)
        ended = counters.handled + counters.failed + counters.refused + counters.cancelled + counters.expired
        assert counters.received == ended > 0
    while len(asyncio.all_tasks()) > 1:  # handlers that were abandoned end by themselves
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=1)
    gc.collect()
    assert not complaints  # of errors that nobody took, or tasks that were destroyed
