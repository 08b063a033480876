"""Starting with retries, readiness, and stops that answer everyone."""

import asyncio
from typing import Any

import pytest

from adiuva.errors import ConflictError, GoingAwayError, NotFoundError, UnavailableError
from adiuva.runtime import Actor, ActorContext, ActorRef, ActorSystem, supervision
from tests.runtime.conftest import FunctionActor, Gate, Start, turns


class Slow(Actor):
    """Starts, answers and stops when it is let to; tells what happened in which order."""

    def __init__(self, name: str = "slow", *, faults: int = 0) -> None:
        super().__init__(name, capacity=10)
        self.story: list[str] = []
        self.starting, self.may_start, self.stubborn = asyncio.Event(), asyncio.Event(), False
        self.may_fail = asyncio.Event()
        self._faults = faults

    async def on_start(self) -> None:
        self.starting.set()
        if self._faults:
            self._faults -= 1
            await self.may_fail.wait()
            raise OSError("no disk")
        try:
            await self.may_start.wait()
        except asyncio.CancelledError:
            self.story.append("start cancelled")
            if not self.stubborn:
                raise
        self.story.append("started")

    async def on_stop(self) -> None:
        self.story.append("stopped")

    async def receive(self, payload: Any, ctx: ActorContext) -> Any:
        del ctx
        self.story.append("received")
        return payload


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE", 0.001)


async def test_an_actor_is_found_by_its_name(system: ActorSystem, start: Start, gate: Gate) -> None:
    await start(gate, name="b")
    await start(gate, name="a")
    gate.opened.set()
    assert [ref.name for ref in system.refs()] == ["b", "a"]
    assert await system.ref("a").ask(1) == 1
    with pytest.raises(NotFoundError):
        system.ref("c")
    with pytest.raises(ConflictError):
        await start(gate, name="a")


async def test_messages_sent_during_the_start_are_handled_after_it(system: ActorSystem) -> None:
    actor = Slow()
    ref = await system.start(actor)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(3)]
    await actor.starting.wait()
    await turns()
    assert system.ready() == {"slow": "starting"}
    assert actor.story == []
    actor.may_start.set()
    assert await asyncio.gather(*asks) == [0, 1, 2]
    assert actor.story == ["started", "received", "received", "received"]
    assert system.ready() == {"slow": "ok"}


@pytest.mark.usefixtures("quick_retries")
async def test_a_start_that_fails_is_tried_again(system: ActorSystem) -> None:
    actor = Slow(faults=3)
    actor.may_fail.set()
    actor.may_start.set()
    ref = await system.start(actor)
    while ref.counters().state != "running":
        await asyncio.sleep(0)
    assert ref.counters().starts_failed == 3
    assert await ref.ask(1) == 1
    assert system.ready() == {"slow": "ok"}


@pytest.mark.parametrize("fault", [SystemExit, asyncio.CancelledError, BaseException])
@pytest.mark.usefixtures("quick_retries")
async def test_any_fault_in_a_start_is_tried_again(system: ActorSystem, fault: type[BaseException]) -> None:
    class Faulty(Slow):
        faults = [fault]  # noqa: RUF012

        async def on_start(self) -> None:
            if self.faults:
                raise self.faults.pop()

    ref = await system.start(Faulty())
    while ref.counters().state != "running":
        await asyncio.sleep(0)
    assert ref.counters().starts_failed == 1


async def test_after_a_failed_start_messages_are_refused_and_those_that_wait_are_answered(system: ActorSystem) -> None:
    actor = Slow(faults=1)
    ref = await system.start(actor)
    waiting = asyncio.create_task(ref.ask(1))
    await actor.starting.wait()
    await turns()
    assert ref.counters().queued == 1
    actor.may_fail.set()
    with pytest.raises(UnavailableError):
        await waiting
    assert system.ready() == {"slow": "starting: OSError"}
    with pytest.raises(UnavailableError):
        await ref.ask(2)
    assert actor.story == []


def test_pauses_between_starts_grow_to_a_limit() -> None:
    pauses = [supervision.pause_before(attempt) for attempt in range(1, 100)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


async def test_stop_lets_running_and_waiting_messages_end_and_refuses_new_ones(
    system: ActorSystem, start: Start, gate: Gate
) -> None:
    ref = await start(gate)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(3)]
    await gate.reached.wait()
    stopping = asyncio.create_task(system.stop(60))
    await turns()
    with pytest.raises(GoingAwayError):
        await ref.ask("late")
    with pytest.raises(GoingAwayError):
        ref.tell("late")
    with pytest.raises(GoingAwayError):
        await system.start(Slow())
    assert not stopping.done()
    gate.opened.set()
    assert await asyncio.gather(*asks) == [0, 1, 2]
    await stopping
    assert ref.counters().state == "stopped"
    with pytest.raises(GoingAwayError):
        await ref.ask("later")


async def test_during_a_stop_handlers_may_still_ask_other_actors(system: ActorSystem, start: Start, gate: Gate) -> None:
    async def echo(payload: Any, ctx: ActorContext) -> Any:
        del ctx
        return payload

    child = await start(echo, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        await gate(payload, ctx)
        return await ctx.ask(child, payload)

    ref = await start(parent, name="parent")
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    stopping = asyncio.create_task(system.stop(60))
    await turns()
    gate.opened.set()
    assert await ask == 1
    await stopping


async def test_after_the_grace_everyone_who_waits_gets_going_away(
    system: ActorSystem, start: Start, gate: Gate
) -> None:
    ref = await start(gate)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(3)]
    async with ref.stream(3) as session:
        await gate.reached.wait()
        await system.stop(0.01)
        assert gate.cancelled.is_set()
        for outcome in await asyncio.gather(*asks, return_exceptions=True):
            assert isinstance(outcome, GoingAwayError)
        assert [event async for event in session] == []
        with pytest.raises(GoingAwayError):
            session.result()
    counters = ref.counters()
    assert (counters.cancelled, counters.queued, counters.running) == (4, 0, 0)


async def test_stop_cancels_parents_and_children_together(system: ActorSystem, start: Start, gate: Gate) -> None:
    story = []

    async def child(payload: Any, ctx: ActorContext) -> None:
        try:
            await gate(payload, ctx)
        finally:
            await turns()
            story.append("child ended")

    child_ref = await start(child, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> None:
        try:
            await ctx.ask(child_ref, payload)
        finally:
            story.append("parent ended")

    ref = await start(parent, name="parent")
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    await system.stop(0)
    with pytest.raises(GoingAwayError):
        await ask
    assert story == ["child ended", "parent ended"]


async def test_actors_are_stopped_in_reverse_order_after_their_last_message(system: ActorSystem) -> None:
    story: list[str] = []
    for name in ("first", "second"):
        actor = Slow(name)
        actor.story = story
        actor.may_start.set()
        ref = await system.start(actor)
        await ref.ask(1)

    class Tattletale(Slow):
        async def on_stop(self) -> None:
            story.append("last one stopped")
            raise OSError

    actor = Tattletale("last")
    actor.story = story
    actor.may_start.set()
    await (await system.start(actor)).ask(1)
    story.clear()
    await system.stop(1)
    assert story == ["last one stopped", "stopped", "stopped"]
    assert set(system.ready().values()) == {"stopped"}


async def test_an_actor_is_stopped_once_and_only_after_its_handlers_have_ended(system: ActorSystem) -> None:
    story: list[str] = []
    reached, stopping, may_stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Tidy(Actor):
        async def receive(self, payload: Any, ctx: ActorContext) -> None:
            del payload, ctx
            try:
                reached.set()
                await asyncio.Event().wait()
            finally:
                await turns()
                story.append("handler ended")

        async def on_stop(self) -> None:
            story.append("stopping")
            stopping.set()
            await may_stop.wait()

    ref = await system.start(Tidy("tidy"))
    ask = asyncio.create_task(ref.ask(1))
    await reached.wait()
    stops = [asyncio.create_task(system.stop(0)) for _ in range(2)]
    await stopping.wait()
    await turns()
    assert not any(stop.done() for stop in stops)
    may_stop.set()
    await asyncio.gather(*stops)
    with pytest.raises(GoingAwayError):
        await ask
    assert story == ["handler ended", "stopping"]


async def test_stop_while_starting_cancels_the_start_and_answers_who_waits(system: ActorSystem) -> None:
    actor = Slow()
    ref = await system.start(actor)
    ask = asyncio.create_task(ref.ask(1))
    await actor.starting.wait()
    await turns()
    await system.stop(60)
    with pytest.raises(GoingAwayError):
        await ask
    assert actor.story == ["start cancelled"]


async def test_stop_before_the_start_had_its_first_turn(system: ActorSystem) -> None:
    actor = Slow()
    ref = await system.start(actor)
    await system.stop(60)
    assert actor.story == []
    assert ref.counters().state == "stopped"


async def test_a_start_that_ends_well_in_spite_of_the_stop_is_stopped(system: ActorSystem) -> None:
    actor = Slow()
    actor.stubborn = True
    ref = await system.start(actor)
    await actor.starting.wait()
    await system.stop(60)
    assert actor.story == ["start cancelled", "started", "stopped"]
    assert ref.counters().state == "stopped"


async def test_a_start_that_ends_well_long_after_the_stop_is_stopped() -> None:
    system = ActorSystem(patience=0.01)
    freed, stopped = asyncio.Event(), asyncio.Event()

    class Deaf(Actor):
        async def on_start(self) -> None:
            while not freed.is_set():
                try:
                    await freed.wait()
                except asyncio.CancelledError:
                    continue

        async def on_stop(self) -> None:
            stopped.set()

    ref = await system.start(Deaf("deaf"))
    await turns()
    await system.stop(0)
    assert not stopped.is_set()
    freed.set()
    await stopped.wait()
    await turns()
    assert ref.counters().state == "stopped"


async def test_stop_does_not_wait_for_ever_for_handlers_and_hooks_that_ignore_it() -> None:
    system = ActorSystem(patience=0.01)
    freed = asyncio.Event()

    async def deaf() -> None:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    class Deaf(Actor):
        async def receive(self, payload: Any, ctx: ActorContext) -> None:
            del payload, ctx
            await deaf()

        async def on_stop(self) -> None:
            await deaf()

    ref = await system.start(Deaf("deaf"))
    asks = [asyncio.create_task(ref.ask(number)) for number in range(2)]
    await turns()
    await system.stop(0)
    for ask in asks:
        with pytest.raises(GoingAwayError):
            await ask
    freed.set()


async def test_a_stop_that_is_cancelled_still_answers_everyone(system: ActorSystem, start: Start, gate: Gate) -> None:
    ref = await start(gate)
    asks = [asyncio.create_task(ref.ask(number)) for number in range(3)]
    await gate.reached.wait()
    stopping = asyncio.create_task(system.stop(60))
    await turns()
    stopping.cancel()
    for outcome in await asyncio.gather(*asks, return_exceptions=True):
        assert isinstance(outcome, GoingAwayError)
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_a_second_stop_may_shorten_the_grace(system: ActorSystem, start: Start, gate: Gate) -> None:
    ref = await start(gate)
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    patient = asyncio.create_task(system.stop(60))
    await turns()
    await system.stop(0)
    with pytest.raises(GoingAwayError):
        await ask
    await patient


async def test_no_task_is_left_after_a_stop(system: ActorSystem, start: Start) -> None:
    async def echo(payload: Any, ctx: ActorContext) -> Any:
        await asyncio.sleep(0)
        await ctx.emit(payload)
        return payload

    ref = await start(echo, concurrency=10)
    await asyncio.gather(*(ref.ask(number) for number in range(30)))
    await system.stop(1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_removed_actor_ends_its_messages_and_frees_its_name(
    system: ActorSystem, start: Start, gate: Gate
) -> None:
    ref = await start(gate)
    ask = asyncio.create_task(ref.ask(1))
    await gate.reached.wait()
    removing = asyncio.create_task(system.remove("actor"))
    await turns()
    assert system.refs() == ()
    with pytest.raises(GoingAwayError):
        await ref.ask(2)
    other = await system.start(FunctionActor("actor", gate, capacity=1, concurrency=1))
    gate.opened.set()
    assert await ask == 1
    await removing
    assert await other.ask(3) == 3
    with pytest.raises(NotFoundError):
        await system.remove("nobody")


async def test_a_removed_actor_takes_no_child_asks_either(system: ActorSystem, start: Start, gate: Gate) -> None:
    child: ActorRef = await start(gate, name="child")

    async def parent(payload: Any, ctx: ActorContext) -> Any:
        return await ctx.ask(child, payload)

    ref = await start(parent, name="parent")
    busy = asyncio.create_task(child.ask("busy"))
    await gate.reached.wait()
    removing = asyncio.create_task(system.remove("child"))
    await turns()
    with pytest.raises(GoingAwayError):
        await ref.ask(1)
    gate.opened.set()
    assert await busy == "busy"
    await removing
