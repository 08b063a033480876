"""Ask and tell: answers, errors, order, fairness, bounds, and that no message suffers from another."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from structlog.testing import capture_logs

from adiuva.errors import AdiuvaError, NotFoundError, OverloadedError
from adiuva.runtime import Actor, ActorContext, ActorRef, ActorSystem, Envelope, HandlerCrashedError
from tests.runtime.conftest import Gate, Start, turns

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def echo(payload: Any, ctx: ActorContext) -> Any:
    del ctx
    return payload


def workers(name: str = "actor") -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == f"{name}:worker"]


async def test_the_answer_comes_back(start: Start) -> None:
    ref = await start(echo)
    assert await ref.ask({"a": 1}) == {"a": 1}
    assert await ref.ask(None) is None


async def test_a_handler_sees_what_travels_with_the_message(start: Start) -> None:
    async def show(payload: Any, ctx: ActorContext) -> Any:
        return payload, ctx.user, ctx.tier, ctx.deadline, ctx.trace, ctx.envelope.id

    ref = await start(show)
    first = await ref.ask("x", user="ada", tier="pro", deadline=9e9, trace={"request_id": "r"})
    assert first[:5] == ("x", "ada", "pro", 9e9, {"request_id": "r"})
    second = await ref.ask("x")
    assert second[1:5] == ("", "", None, {})
    assert first[5] != second[5]


async def test_the_very_error_of_the_handler_reaches_the_asker_and_the_actor_lives_on(start: Start) -> None:
    errors = [ValueError("one"), NotFoundError("two")]

    async def fail(number: int, ctx: ActorContext) -> str:
        del ctx
        if number < len(errors):
            raise errors[number]
        return "alive"

    ref = await start(fail)
    for number, expected in enumerate(errors):
        with pytest.raises(type(expected)) as caught:
            await ref.ask(number)
        assert caught.value is expected
    assert await ref.ask(2) == "alive"
    counters = ref.counters()
    assert (counters.failed, counters.handled, counters.received) == (2, 1, 3)


@pytest.mark.parametrize("crash", [SystemExit, BaseException, asyncio.CancelledError])
async def test_a_handler_that_raises_no_plain_exception_is_an_error_for_its_asker_only(
    start: Start, crash: type[BaseException]
) -> None:
    async def receive(payload: Any, ctx: ActorContext) -> Any:
        del ctx
        if payload == "crash":
            raise crash
        return payload

    ref = await start(receive)
    with pytest.raises(HandlerCrashedError):
        await ref.ask("crash")
    assert await ref.ask("alive") == "alive"
    assert ref.counters().failed == 1


async def test_messages_of_a_user_are_handled_in_the_order_they_were_sent(start: Start) -> None:
    handled = []

    async def record(number: int, ctx: ActorContext) -> None:
        del ctx
        await asyncio.sleep(0)
        handled.append(number)

    ref = await start(record)
    await asyncio.gather(*(ref.ask(number, user="ada") for number in range(50)))
    assert handled == list(range(50))


async def test_a_users_hundred_messages_do_not_delay_anothers_one(start: Start, gate: Gate) -> None:
    handled = []

    async def record(payload: str, ctx: ActorContext) -> None:
        handled.append(ctx.user)
        await gate(payload)

    ref = await start(record)
    asks = [asyncio.create_task(ref.ask(number, user="ada")) for number in range(100)]
    await gate.reached.wait()
    asks.append(asyncio.create_task(ref.ask(0, user="bob")))
    await turns()
    gate.opened.set()
    await asyncio.gather(*asks)
    assert handled.index("bob") <= 2


async def test_messages_that_name_one_line_take_one_turn_between_them(start: Start, gate: Gate) -> None:
    handled = []

    async def record(payload: str, ctx: ActorContext) -> None:
        handled.append(ctx.user)
        await gate(payload)

    async def forward(payload: str, ctx: ActorContext) -> None:
        await ctx.ask(ref, payload)

    ref = await start(record)
    parent = await start(forward, name="parent", concurrency=100)
    asks = [asyncio.create_task(parent.ask(number, user=f"user{number}", line="batches")) for number in range(50)]
    await gate.reached.wait()
    await turns()
    asks.append(asyncio.create_task(parent.ask(0, user="ada")))
    await turns()
    gate.opened.set()
    await asyncio.gather(*asks)
    assert handled.index("ada") <= 2
    assert "user49" in handled


async def test_a_full_mailbox_refuses_at_once(start: Start, gate: Gate) -> None:
    ref = await start(gate, capacity=3, concurrency=2)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(5)]
    await gate.reached.wait()
    with pytest.raises(OverloadedError) as refused:
        await ref.ask("one too many")
    assert refused.value.retry_after
    with pytest.raises(OverloadedError):
        ref.tell("one too many")
    with pytest.raises(OverloadedError):
        await ref.stream("one too many").__aenter__()
    counters = ref.counters()
    assert (counters.running, counters.queued, counters.refused) == (2, 3, 3)
    gate.opened.set()
    assert await asyncio.gather(*asks) == list(range(5))
    assert await ref.ask("room again") == "room again"


async def test_as_many_messages_as_the_concurrency_allows_are_handled_at_once(start: Start, gate: Gate) -> None:
    running = most = 0

    async def count(payload: Any, ctx: ActorContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate(payload, ctx)
        running -= 1

    ref = await start(count, concurrency=4)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(20)]
    await gate.reached.wait()
    await turns()
    assert ref.counters().running == 4
    gate.opened.set()
    await asyncio.gather(*asks)
    assert most == 4
    assert len(workers()) <= 4


async def test_workers_are_made_only_when_they_are_needed(start: Start) -> None:
    ref = await start(echo, concurrency=100)
    for number in range(10):
        await ref.ask(number)
    assert len(workers()) == 1


async def test_one_at_a_time_stays_one_at_a_time_through_cancels(start: Start) -> None:
    inside = 0

    async def alone(payload: Any, ctx: ActorContext) -> None:
        nonlocal inside
        del payload, ctx
        assert inside == 0
        inside += 1
        try:
            await asyncio.sleep(0)
        finally:
            inside -= 1

    ref = await start(alone)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(40)]
    for ask in asks[::3]:
        await asyncio.sleep(0)
        ask.cancel()
    outcomes = await asyncio.gather(*asks, return_exceptions=True)
    assert not any(isinstance(outcome, AssertionError) for outcome in outcomes)


async def test_a_told_message_that_fails_goes_to_on_failure(system: ActorSystem) -> None:
    failures: asyncio.Queue[tuple[Envelope, Exception]] = asyncio.Queue()
    error = ValueError("told")

    class Failing(Actor):
        async def receive(self, payload: Any, ctx: ActorContext) -> Any:
            del ctx
            if payload == "fail":
                raise error
            return payload

        async def on_failure(self, envelope: Envelope, error: Exception) -> None:
            failures.put_nowait((envelope, error))
            raise RuntimeError

    ref = await system.start(Failing("failing"))
    with capture_logs() as logs:
        ref.tell("fail", user="ada")
        envelope, raised = await failures.get()
        await turns()
    assert [line["event"] for line in logs] == ["on_failure raised"]
    assert (envelope.payload, envelope.user, raised) == ("fail", "ada", error)
    assert await ref.ask("alive") == "alive"
    with pytest.raises(ValueError, match="told"):
        await ref.ask("fail")
    assert failures.empty()
    assert ref.counters().failed == 2


async def test_a_told_message_that_fails_is_logged_without_its_content(start: Start) -> None:
    async def fail(payload: Any, ctx: ActorContext) -> None:
        del ctx
        raise ValueError(payload)

    ref = await start(fail)
    with capture_logs() as logs:
        ref.tell("a secret")
        while not ref.counters().failed:
            await asyncio.sleep(0)
    (line,) = logs
    assert line["event"] == "told message failed"
    assert isinstance(line.pop("exc_info"), ValueError)  # of which the log shows the class and the place
    assert "secret" not in str(line)


async def test_a_message_does_not_see_the_context_variables_of_another(start: Start) -> None:
    async def swap(payload: str, ctx: ActorContext) -> str:
        del ctx
        before = variable.get()
        variable.set(payload)
        return before

    variable.set("start")
    ref = await start(swap)
    variable.set("asker")
    assert [await ref.ask(name) for name in ("a", "b", "c")] == ["start", "start", "start"]


async def test_a_timeout_in_a_handler_is_a_timeout_even_after_a_cancelled_message(start: Start, gate: Gate) -> None:
    async def receive(payload: str, ctx: ActorContext) -> str:
        if payload == "wait":
            await gate(payload, ctx)
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timeout"
        return "no timeout"

    ref = await start(receive)
    ask = asyncio.create_task(ref.ask("wait"))
    await gate.reached.wait()
    ask.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ask
    assert await ref.ask("go") == "timeout"
    assert await ref.ask("go") == "timeout"


async def test_a_handler_that_cancels_its_own_task_harms_no_other_message(start: Start) -> None:
    async def receive(payload: str, ctx: ActorContext) -> str:
        del ctx
        if payload == "mad":
            task = asyncio.current_task()
            assert task
            task.cancel()
            return payload
        await asyncio.sleep(0)
        return payload

    ref = await start(receive)
    outcomes = await asyncio.gather(*(ref.ask(payload) for payload in ("mad", "sane", "mad", "sane")))
    assert outcomes == ["mad", "sane", "mad", "sane"]


async def test_a_worker_cancelled_from_outside_while_idle_is_replaced(start: Start) -> None:
    ref = await start(echo)
    await ref.ask(1)
    (worker,) = workers()
    worker.cancel()
    assert await ref.ask(2) == 2
    assert worker.cancelled()


async def test_a_message_is_not_lost_with_the_worker_that_was_woken_for_it(start: Start) -> None:
    ref = await start(echo)
    await ref.ask(1)
    (worker,) = workers()
    ask = asyncio.create_task(ref.ask(2))
    await asyncio.sleep(0)  # the worker is woken, but has not run
    assert ref.counters().queued == 1
    worker.cancel()
    assert await ask == 2


async def test_a_worker_cancelled_from_outside_is_an_error_for_the_asker_not_a_cancel(start: Start, gate: Gate) -> None:
    ref = await start(gate)
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    (worker,) = workers()
    worker.cancel()
    with pytest.raises(HandlerCrashedError):
        await ask
    gate.opened.set()
    assert await ref.ask(2) == 2
    assert worker.cancelled()


async def test_counters_tell_what_happened(start: Start, gate: Gate) -> None:
    async def receive(payload: str, ctx: ActorContext) -> None:
        if payload == "fail":
            raise AdiuvaError
        await gate(payload, ctx)

    ref = await start(receive, capacity=2)
    gate.opened.set()
    await ref.ask("ok")
    with pytest.raises(AdiuvaError):
        await ref.ask("fail")
    gate.opened.clear()
    gate.reached.clear()
    running = asyncio.create_task(ref.ask("ok"))
    await gate.reached.wait()
    queued = asyncio.create_task(ref.ask("ok"))
    await turns()
    queued.cancel()
    await asyncio.gather(queued, return_exceptions=True)
    with pytest.raises(AdiuvaError):
        await ref.ask("ok", timeout=0)
    counters = ref.counters()
    assert (counters.received, counters.handled, counters.failed) == (5, 1, 1)
    assert (counters.running, counters.queued, counters.cancelled, counters.expired) == (1, 0, 1, 1)
    assert counters.wait_seconds_total > 0
    assert counters.state == "running"
    gate.opened.set()
    await running
    assert ref.counters().handled == 2


async def test_an_actor_has_room_for_at_least_one_message() -> None:
    for wrong in ({"capacity": 0}, {"concurrency": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Actor("actor", **wrong)


def test_a_ref_shows_its_name_and_no_content() -> None:
    envelope = Envelope(id="1", user="ada", line="ada", tier="pro", deadline=None, trace={}, payload="a secret")
    assert "secret" not in repr(envelope)
    assert isinstance(ActorRef.name, property)
