"""Sessions: events one way, items the other, back-pressure in both, and an end."""

import asyncio
from typing import Any

import pytest

from adiuva.errors import DeadlineExceededError
from adiuva.runtime import ActorContext, RequestCancelledError
from tests.runtime.conftest import Gate, Start, turns


async def test_events_come_in_order_and_then_the_result(start: Start) -> None:
    async def count(number: int, ctx: ActorContext) -> str:
        for event in range(number):
            await ctx.emit(event)
        return "done"

    ref = await start(count)
    async with ref.stream(200) as session:
        assert [event async for event in session] == list(range(200))
        assert session.result() == "done"


async def test_the_handlers_error_is_raised_by_result_after_its_events(start: Start) -> None:
    async def fail(payload: Any, ctx: ActorContext) -> None:
        await ctx.emit(payload)
        raise ValueError("broken")

    ref = await start(fail)
    async with ref.stream("event") as session:
        assert [event async for event in session] == ["event"]
        for _ in range(2):
            with pytest.raises(ValueError, match="broken"):
                session.result()


async def test_there_is_no_result_before_the_end(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    async with ref.stream(1) as session:
        with pytest.raises(RuntimeError, match="has not ended"):
            session.result()


async def test_emit_waits_while_the_buffer_is_full(start: Start) -> None:
    emitted = 0

    async def count(payload: int, ctx: ActorContext) -> None:
        nonlocal emitted
        for event in range(payload):
            await ctx.emit(event)
            emitted += 1

    ref = await start(count)
    async with ref.stream(10, buffer=3) as session:
        await turns()
        assert emitted == 3
        assert await anext(session) == 0
        await turns()
        assert emitted == 4
        assert [event async for event in session] == list(range(1, 10))


async def test_emit_does_not_suspend_while_there_is_room(start: Start) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> None:
        del payload
        for event in range(3):
            with pytest.raises(StopIteration):
                ctx.emit(event).send(None)

    ref = await start(receive)
    async with ref.stream(1, buffer=3) as session:
        assert [event async for event in session] == [0, 1, 2]
        session.result()


async def test_where_nobody_listens_events_are_dropped(start: Start) -> None:
    async def chatty(payload: Any, ctx: ActorContext) -> Any:
        for _ in range(1000):
            await ctx.emit(payload)
        return payload

    ref = await start(chatty)
    assert await ref.ask(1) == 1


async def test_both_sides_talk(start: Start) -> None:
    async def question(payload: int, ctx: ActorContext) -> list[Any]:
        answers = []
        for number in range(payload):
            await ctx.emit(number)
            answers.append(await ctx.read())
        return answers

    ref = await start(question)
    async with ref.stream(3) as session:
        async for event in session:
            assert session.send(event * 10)
        assert session.result() == [0, 10, 20]


async def test_what_is_sent_is_dropped_while_the_buffer_is_full(start: Start, gate: Gate) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> list[Any]:
        await gate(payload, ctx)
        return [await ctx.read() for _ in range(3)]

    ref = await start(receive)
    async with ref.stream(1, buffer=2) as session:
        assert [session.send(item) for item in (1, 2, 3)] == [True, True, False]
        gate.opened.set()
        await turns()
        assert session.send(4)
        assert [event async for event in session] == []
        assert session.result() == [1, 2, 4]


async def test_what_is_sent_after_the_handler_has_ended_is_dropped(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    async with ref.stream(1, buffer=1) as session:
        assert session.send(1)
        gate.opened.set()
        assert [event async for event in session] == []
        assert not session.send(2)


async def test_read_gives_up_after_its_timeout_and_the_handler_goes_on(start: Start) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        try:
            await ctx.read(timeout=0.01)
        except TimeoutError:
            await ctx.emit("too late")
        return await ctx.read(), payload

    ref = await start(receive)
    async with ref.stream(1) as session:
        assert await anext(session) == "too late"
        session.send("now")
        assert [event async for event in session] == []
        assert session.result() == ("now", 1)


async def test_without_a_session_there_is_nothing_to_read(start: Start) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        del payload
        return await ctx.read()

    ref = await start(receive)
    with pytest.raises(RuntimeError, match="no session"):
        await ref.ask(1)


async def test_leaving_early_cancels_the_handler_and_waits_for_its_end(start: Start) -> None:
    ended = asyncio.Event()

    async def endless(payload: Any, ctx: ActorContext) -> None:
        try:
            while True:
                await ctx.emit(payload)
        finally:
            await turns()
            ended.set()

    ref = await start(endless)
    async with ref.stream(1) as session:
        async for _ in session:
            break
    assert ended.is_set()
    assert ref.counters().cancelled == 1
    with pytest.raises(RequestCancelledError):
        session.result()


async def test_an_error_in_the_block_cancels_the_handler_and_goes_on(start: Start, gate: Gate) -> None:
    ref = await start(gate)

    async def listen() -> None:
        async with ref.stream(1):
            await gate.reached.wait()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await listen()
    assert gate.cancelled.is_set()


async def test_cancelling_the_task_that_iterates_cancels_the_handler(start: Start, gate: Gate) -> None:
    ref = await start(gate)

    async def iterate() -> None:
        async with ref.stream(1) as session:
            async for _ in session:
                pass

    task = asyncio.create_task(iterate())
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.cancelled.is_set()
    assert ref.counters().running == 0


async def test_after_cancel_the_handler_has_ended_and_no_event_follows(start: Start) -> None:
    ended = asyncio.Event()

    async def chatty(payload: Any, ctx: ActorContext) -> None:
        try:
            await ctx.emit("before")
            await ctx.emit(payload)
            await asyncio.Event().wait()
        finally:
            await ctx.emit("cleaning up")
            await turns()
            ended.set()

    ref = await start(chatty)
    async with ref.stream(1) as session:
        assert await anext(session) == "before"
        iterating = asyncio.create_task(anext(session, "end"))
        assert await iterating == 1
        iterating = asyncio.create_task(anext(session, "end"))
        await turns()
        await session.cancel()
        assert ended.is_set()
        assert await iterating == "end"
        assert [event async for event in session] == []
        with pytest.raises(RequestCancelledError):
            session.result()
        await session.cancel()


async def test_cancel_drops_the_events_that_wait(start: Start) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        await ctx.emit(1)
        await ctx.emit(2)
        return payload

    ref = await start(receive)
    async with ref.stream(1) as session:
        await turns()
        await session.cancel()
        assert [event async for event in session] == []
        assert session.result() == 1  # it had ended before the cancel


async def test_events_before_a_deadline_can_still_be_read(start: Start, gate: Gate) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> None:
        await ctx.emit(payload)
        await gate(payload, ctx)

    ref = await start(receive)
    async with ref.stream("event", timeout=0.01) as session:
        await gate.cancelled.wait()
        assert [event async for event in session] == ["event"]
        with pytest.raises(DeadlineExceededError):
            session.result()


async def test_a_deadline_ends_an_emit_that_waits_for_a_reader_who_sleeps(start: Start) -> None:
    ended = asyncio.Event()

    async def endless(payload: Any, ctx: ActorContext) -> None:
        try:
            while True:
                await ctx.emit(payload)
        finally:
            ended.set()

    ref = await start(endless)
    async with ref.stream(1, timeout=0.01, buffer=2) as session:
        await ended.wait()
        assert [event async for event in session] == [1, 1]
        with pytest.raises(DeadlineExceededError):
            session.result()


async def test_a_childs_events_and_reads_are_those_of_its_parents_session(start: Start) -> None:
    async def grandchild(payload: Any, ctx: ActorContext) -> Any:
        await ctx.emit("grandchild")
        return payload, await ctx.read()

    grandchild_ref = await start(grandchild, name="grandchild")

    async def child(payload: Any, ctx: ActorContext) -> Any:
        await ctx.emit("child")
        return await ctx.ask(grandchild_ref, payload)

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        await ctx.emit("parent")
        answer = await ctx.ask(child_ref, payload)
        await ctx.emit("parent again")
        return answer

    ref = await start(parent, name="parent")
    async with ref.stream(1) as session:
        session.send("hello")
        assert [event async for event in session] == ["parent", "child", "grandchild", "parent again"]
        assert session.result() == (1, "hello")


async def test_a_child_asked_without_forward_is_not_heard(start: Start) -> None:
    async def child(payload: Any, ctx: ActorContext) -> Any:
        await ctx.emit("secret")
        return payload

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        return await ctx.ask(child_ref, payload, forward=False)

    ref = await start(parent, name="parent")
    async with ref.stream(1) as session:
        assert [event async for event in session] == []
        assert session.result() == 1


async def test_a_childs_emit_waits_for_the_parents_reader(start: Start) -> None:
    emitted = 0

    async def child(payload: int, ctx: ActorContext) -> None:
        nonlocal emitted
        for event in range(payload):
            await ctx.emit(event)
            emitted += 1

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> None:
        await ctx.ask(child_ref, payload)

    ref = await start(parent, name="parent")
    async with ref.stream(10, buffer=2) as session:
        await turns()
        assert emitted == 2
        assert [event async for event in session] == list(range(10))


async def test_a_finished_child_does_not_end_its_parents_session(start: Start) -> None:
    async def child(payload: Any, ctx: ActorContext) -> None:
        await ctx.emit(payload)

    child_ref = await start(child, name="child")

    async def parent(payload: list[int], ctx: ActorContext) -> None:
        for event in payload:
            await ctx.ask(child_ref, event)

    ref = await start(parent, name="parent")
    async with ref.stream([1, 2, 3]) as session:
        assert [event async for event in session] == [1, 2, 3]


async def test_parallel_emitters_lose_nothing(start: Start) -> None:
    async def receive(payload: int, ctx: ActorContext) -> None:
        async def emit_all(emitter: int) -> None:
            for number in range(payload):
                await ctx.emit((emitter, number))

        async with asyncio.TaskGroup() as group:
            for emitter in range(5):
                group.create_task(emit_all(emitter))

    ref = await start(receive)
    async with ref.stream(20, buffer=3) as session:
        events = [event async for event in session]
        session.result()
    for emitter in range(5):
        assert [number for one, number in events if one == emitter] == list(range(20))


async def test_a_session_is_entered_once_and_cancelled_only_then(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    session = ref.stream(1)
    with pytest.raises(RuntimeError, match="not been entered"):
        await session.cancel()
    async with session:
        await gate.reached.wait()
    with pytest.raises(RuntimeError, match="used once"):
        await session.__aenter__()
    assert ref.counters().received == 1


async def test_a_cancelled_cancel_waits_for_the_handlers_end_all_the_same_and_is_cancelled_then(start: Start) -> None:
    reached, cleaning, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive(payload: Any, ctx: ActorContext) -> None:
        del payload, ctx
        try:
            reached.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await may_end.wait()

    ref = await start(receive)
    async with ref.stream(1) as session:
        await reached.wait()
        cancelling = asyncio.create_task(session.cancel())
        await cleaning.wait()
        cancelling.cancel()
        await turns()
        assert not cancelling.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await cancelling
