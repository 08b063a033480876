"""Cancellation and deadlines: they reach the handler, and the asker goes on only after it."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adiuva import clock
from adiuva.errors import DeadlineExceededError
from adiuva.runtime import ActorContext, ActorRef, ActorSystem, RequestCancelledError
from tests.runtime.conftest import FunctionActor, Gate, Start, turns


def in_seconds(seconds: float) -> float:
    return clock.now().timestamp() + seconds


@pytest.fixture
async def impatient() -> ActorSystem:
    """A system that abandons a handler after a moment."""
    return ActorSystem(patience=0.01)


class Stubborn:
    """A handler that ignores its cancellation until it is freed."""

    def __init__(self, then: Callable[[ActorContext], Awaitable[Any]] | None = None) -> None:
        self.reached, self.free, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._then = then

    async def __call__(self, payload: Any, ctx: ActorContext) -> Any:
        self.reached.set()
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                continue
        if self._then is not None:
            await self._then(ctx)
        self.ended.set()
        return payload


async def test_cancelling_the_asker_cancels_the_handler_and_waits_for_its_end(start: Start) -> None:
    reached, cleaning, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive(payload: Any, ctx: ActorContext) -> None:
        del payload, ctx
        try:
            reached.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()

    ref = await start(receive)
    ask = asyncio.create_task(ref.ask(1))
    await reached.wait()
    ask.cancel()
    await cleaning.wait()
    await turns()
    assert not ask.done()
    cleaned.set()
    with pytest.raises(asyncio.CancelledError):
        await ask
    counters = ref.counters()
    assert (counters.cancelled, counters.running) == (1, 0)


async def test_a_second_cancel_of_the_asker_does_not_cut_the_wait_short(start: Start) -> None:
    stubborn = Stubborn()
    ref = await start(stubborn)
    ask = asyncio.create_task(ref.ask(1))
    await stubborn.reached.wait()
    for _ in range(3):
        ask.cancel()
        await turns()
        assert not ask.done()
    stubborn.free.set()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert stubborn.ended.is_set()


async def test_a_cancelled_message_that_waits_is_gone_at_once_and_never_handled(start: Start, gate: Gate) -> None:
    handled = []

    async def receive(payload: Any, ctx: ActorContext) -> None:
        handled.append(payload)
        await gate(payload, ctx)

    ref = await start(receive, capacity=1)
    first = asyncio.create_task(ref.ask("first"))
    await gate.reached.wait()
    waiting = asyncio.create_task(ref.ask("waiting"))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    third = asyncio.create_task(ref.ask("third"))  # there is room for it again
    await turns()
    gate.opened.set()
    await asyncio.gather(first, third)
    assert handled == ["first", "third"]


async def test_a_message_cancelled_between_wake_up_and_handling_is_never_handled(start: Start) -> None:
    handled = []

    async def record(payload: Any, ctx: ActorContext) -> None:
        del ctx
        handled.append(payload)

    ref = await start(record)
    await ref.ask("first")
    async with ref.stream("second") as session:
        assert ref.counters().queued == 1  # the worker is woken, but has not run
        await session.cancel()
    assert await ref.ask("third") is None
    assert handled == ["first", "third"]


async def test_a_cancel_that_comes_as_the_handler_finishes_harms_nobody(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    gate.opened.set()  # the handler will run before the cancel reaches it, or after: one turn decides
    await asyncio.sleep(0)
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    counters = ref.counters()
    assert counters.handled + counters.cancelled == 1
    assert await ref.ask(2) == 2


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancel_at_any_moment_ends_the_ask_and_keeps_the_actor(start: Start, steps: int) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        del ctx
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return payload

    ref = await start(receive)
    ask = asyncio.create_task(ref.ask(1))
    for _ in range(steps):
        await asyncio.sleep(0)
    if ask.cancel():
        with pytest.raises(asyncio.CancelledError):
            await ask
    assert await ref.ask(2) == 2
    counters = ref.counters()
    assert counters.received == counters.handled + counters.cancelled
    assert counters.running == counters.queued == 0


async def test_a_child_ask_has_ended_before_its_parent_goes_on(start: Start) -> None:
    story = []
    reached = asyncio.Event()

    async def child(payload: Any, ctx: ActorContext) -> None:
        del payload, ctx
        try:
            reached.set()
            await asyncio.Event().wait()
        finally:
            await turns()
            story.append("child ended")

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> None:
        try:
            await ctx.ask(child_ref, payload)
        except asyncio.CancelledError:
            story.append("parent goes on")
            raise

    parent_ref = await start(parent, name="parent")
    ask = asyncio.create_task(parent_ref.ask(1))
    await reached.wait()
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert story == ["child ended", "parent goes on"]
    assert child_ref.counters().cancelled == parent_ref.counters().cancelled == 1


async def test_cancelling_a_parent_takes_a_waiting_child_out_of_its_mailbox(start: Start, gate: Gate) -> None:
    child_ref = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> None:
        await ctx.ask(child_ref, payload)

    parent_ref = await start(parent, name="parent")
    busy = asyncio.create_task(child_ref.ask("busy"))
    await gate.reached.wait()
    ask = asyncio.create_task(parent_ref.ask(1))
    await turns()
    assert child_ref.counters().queued == 1
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert child_ref.counters().queued == 0
    gate.opened.set()
    await busy


async def test_a_child_inherits_user_tier_deadline_and_trace(start: Start) -> None:
    async def child(payload: Any, ctx: ActorContext) -> Any:
        return payload, ctx.user, ctx.tier, ctx.deadline, ctx.trace

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        return await ctx.ask(child_ref, payload)

    ref = await start(parent, name="parent")
    assert await ref.ask(1, user="ada", tier="pro", deadline=9e9, trace={"a": "b"}) == (
        1,
        "ada",
        "pro",
        9e9,
        {"a": "b"},
    )


async def test_a_passed_deadline_cancels_the_handler(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    with pytest.raises(DeadlineExceededError):
        await ref.ask(1, timeout=0.01)
    assert gate.cancelled.is_set()
    with pytest.raises(DeadlineExceededError):
        await ref.ask(1, deadline=in_seconds(0.01), timeout=60)
    counters = ref.counters()
    assert (counters.expired, counters.running) == (2, 0)


async def test_a_deadline_passes_for_a_message_that_waits(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    first = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    with pytest.raises(DeadlineExceededError):
        await ref.ask(2, timeout=0.01)
    assert ref.counters().queued == 0
    gate.opened.set()
    await first


async def test_a_message_past_its_deadline_is_never_queued(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    gate.opened.set()
    await ref.ask(0)
    gate.reached.clear()
    with pytest.raises(DeadlineExceededError):
        await ref.ask(1, deadline=in_seconds(-1))
    await turns()
    assert not gate.reached.is_set()
    assert ref.counters().expired == 1


async def test_an_answered_message_is_let_go_of_before_its_deadline(start: Start) -> None:
    class Payload:
        pass

    async def receive(payload: Any, ctx: ActorContext) -> None:
        del payload, ctx

    ref = await start(receive)
    payload = Payload()
    gone = weakref.ref(payload)
    await ref.ask(payload, timeout=3600)
    del payload
    await turns()
    gc.collect()
    assert gone() is None


async def test_a_deadline_that_passes_after_the_end_changes_nothing(start: Start) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        del ctx
        return payload

    ref = await start(receive)
    assert await ref.ask(1, timeout=0.005) == 1
    asked = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, asked.set_result, None)
    await asked
    assert await ref.ask(2) == 2
    assert ref.counters().expired == 0


async def test_a_deadline_that_passes_as_the_handler_finishes_leaves_one_outcome(start: Start) -> None:
    release = asyncio.Event()

    async def receive(payload: Any, ctx: ActorContext) -> Any:
        assert ctx.deadline
        asyncio.get_running_loop().call_later(ctx.deadline - clock.now().timestamp(), release.set)
        await release.wait()
        return payload

    ref = await start(receive)
    for _ in range(20):
        release.clear()
        with contextlib.suppress(DeadlineExceededError):
            assert await ref.ask(1, timeout=0.002) == 1
    counters = ref.counters()
    assert counters.handled + counters.expired == counters.received == 20


async def test_a_deadline_reaches_a_parent_as_a_cancel_not_as_its_childs_error(start: Start, gate: Gate) -> None:
    seen: list[BaseException] = []
    child_ref = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> None:
        try:
            await ctx.ask(child_ref, payload)
        except BaseException as error:
            seen.append(error)
            raise

    ref = await start(parent, name="parent")
    with pytest.raises(DeadlineExceededError):
        await ref.ask(1, timeout=0.01)
    assert [type(error) for error in seen] == [asyncio.CancelledError]
    assert child_ref.counters().expired == 1


async def test_a_handler_cannot_turn_a_cancel_into_an_answer(start: Start) -> None:
    async def swallow(payload: Any, ctx: ActorContext) -> Any:
        del ctx
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return payload

    ref = await start(swallow)
    with pytest.raises(DeadlineExceededError):
        await ref.ask(1, timeout=0.01)
    assert ref.counters().expired == 1


async def test_a_handler_that_swallows_its_cancel_asks_nobody_else(start: Start, gate: Gate) -> None:
    refused: list[BaseException] = []
    tool = await start(gate, name="tool")

    async def swallow(payload: Any, ctx: ActorContext) -> None:
        for _ in range(2):
            try:
                await ctx.ask(tool, payload)
            except (asyncio.CancelledError, RequestCancelledError) as error:
                refused.append(error)

    ref = await start(swallow, name="parent")
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert [type(error) for error in refused] == [asyncio.CancelledError, RequestCancelledError]
    assert tool.counters().received == 1


async def test_a_handler_that_ignores_its_cancel_is_abandoned_and_replaced(impatient: ActorSystem) -> None:
    stubborn = Stubborn()

    async def receive(payload: Any, ctx: ActorContext) -> Any:
        return await stubborn(payload, ctx) if payload == "stubborn" else payload

    ref = await impatient.start(FunctionActor("actor", receive, capacity=10, concurrency=1))
    ask = asyncio.create_task(ref.ask("stubborn"))
    await stubborn.reached.wait()
    behind = asyncio.create_task(ref.ask("next"))
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert not stubborn.ended.is_set()
    assert await behind == "next"
    stubborn.free.set()
    await stubborn.ended.wait()
    await turns()
    assert await ref.ask("alive") == "alive"
    counters = ref.counters()
    assert (counters.handled, counters.cancelled, counters.running) == (2, 1, 0)
    await impatient.stop(0)


async def test_what_an_abandoned_handler_emits_is_dropped(impatient: ActorSystem) -> None:
    async def emit(ctx: ActorContext) -> None:
        await ctx.emit("late")

    stubborn = Stubborn(then=emit)
    child = await impatient.start(FunctionActor("child", stubborn, capacity=10, concurrency=1))

    async def parent(payload: Any, ctx: ActorContext) -> str:
        asking = asyncio.create_task(ctx.ask(child, payload))
        await stubborn.reached.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await ctx.emit("child abandoned")
        stubborn.free.set()
        await stubborn.ended.wait()
        await ctx.emit("child ended")
        return "done"

    ref = await impatient.start(FunctionActor("parent", parent, capacity=10, concurrency=1))
    async with ref.stream(1) as session:
        assert [event async for event in session] == ["child abandoned", "child ended"]
        assert session.result() == "done"
    await impatient.stop(0)


async def test_a_child_ask_left_behind_in_a_task_ends_with_its_parent(start: Start, gate: Gate) -> None:
    left: list[asyncio.Task[Any]] = []
    child = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        left.append(asyncio.create_task(ctx.ask(child, payload)))
        await gate.reached.wait()
        return payload

    ref = await start(parent, name="parent")
    assert await ref.ask(1) == 1
    with pytest.raises(RequestCancelledError):
        await left[0]
    assert gate.cancelled.is_set()


async def test_a_child_ask_begun_after_its_parents_end_is_refused(start: Start, gate: Gate) -> None:
    left: list[asyncio.Task[Any]] = []
    child = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        left.append(asyncio.create_task(ctx.ask(child, payload)))
        return payload

    ref = await start(parent, name="parent")
    assert await ref.ask(1) == 1
    with pytest.raises(RequestCancelledError):
        await left[0]
    assert not gate.reached.is_set()


async def test_an_asker_that_is_destroyed_cancels_its_handler(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    asking = ref.ask(1)
    asking.send(None)
    await gate.reached.wait()
    asking.close()
    await gate.cancelled.wait()
    gate.opened.set()
    assert await ref.ask(2) == 2
    assert ref.counters().cancelled == 1


async def test_a_timeout_around_an_ask_is_a_timeout(start: Start, gate: Gate) -> None:
    ref: ActorRef = await start(gate)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ref.ask(1)
    assert gate.cancelled.is_set()


async def test_a_timeout_around_a_child_ask_cancels_only_the_child(start: Start, gate: Gate) -> None:
    child = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> str:
        try:
            async with asyncio.timeout(0.01):
                await ctx.ask(child, payload)
        except TimeoutError:
            return "child too slow"
        return "child answered"

    ref = await start(parent, name="parent")
    assert await ref.ask(1) == "child too slow"
    assert child.counters().cancelled == 1
    assert ref.counters().handled == 1


async def test_a_task_group_in_a_handler_is_cancelled_with_its_asks(start: Start, gate: Gate) -> None:
    child = await start(gate, name="child", concurrency=3)

    async def parent(payload: Any, ctx: ActorContext) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ctx.ask(child, payload))

    ref = await start(parent, name="parent")
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    await turns()
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert child.counters().cancelled == 3
    assert child.counters().running == 0
