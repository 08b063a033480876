"""Round trips of asks and streamed events, ours beside others, in one process: ``python -m benchmarks actors``.

Ours, a bare queue and autogen-core run on one uvloop, pykka on its own thread. They take turns in short rounds, so that
what else the machine does hits them alike; printed are the medians over the rounds.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pykka
import uvloop
from attrs import frozen
from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from pydantic import BaseModel

from adiuva.runtime import Actor, ActorContext, ActorRef, ActorSystem

Round = Callable[[int], Awaitable[None]]
"""Does something so many times, one after another."""


class Message(BaseModel):
    """What is sent back and forth; autogen-core wants a model."""

    number: int = 1


MESSAGE = Message()


@frozen
class Contender:
    """Something that is measured; ``times`` makes its round about as long as the others'."""

    name: str
    round: Round
    times: int


class Echo(Actor):
    async def receive(self, payload: Any, ctx: ActorContext) -> Any:
        del ctx
        return payload


class Stream(Actor):
    async def receive(self, payload: int, ctx: ActorContext) -> None:
        for number in range(payload):
            await ctx.emit(number)


class Relay(Actor):
    """Forwards what another actor emits, as the orchestrator does."""

    def __init__(self, name: str, behind: ActorRef) -> None:
        super().__init__(name)
        self._behind = behind

    async def receive(self, payload: int, ctx: ActorContext) -> None:
        await ctx.ask(self._behind, payload)


class AutogenEcho(RoutedAgent):
    @message_handler
    async def echo(self, message: Message, ctx: MessageContext) -> Message:
        del ctx
        return message


class PykkaEcho(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


def asking(ask: Callable[[Any], Awaitable[Any]]) -> Round:
    async def round_trips(times: int) -> None:
        for _ in range(times):
            await ask(MESSAGE)

    return round_trips


@asynccontextmanager
async def bare_queue() -> AsyncIterator[Round]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue()

    async def serve() -> None:
        while True:
            message, answer = await queue.get()
            answer.set_result(message)

    async def ask(message: Any) -> Any:
        answer = loop.create_future()
        queue.put_nowait((message, answer))
        return await answer

    server = asyncio.create_task(serve())
    yield asking(ask)
    server.cancel()


@asynccontextmanager
async def bare_stream() -> AsyncIterator[Round]:
    async def stream(times: int) -> None:
        queue: asyncio.Queue[int | None] = asyncio.Queue(64)

        async def produce() -> None:
            for number in range(times):
                await queue.put(number)
            await queue.put(None)

        producer = asyncio.create_task(produce())
        while await queue.get() is not None:
            pass
        await producer

    yield stream


@asynccontextmanager
async def pykka_asks() -> AsyncIterator[Round]:
    ref = PykkaEcho.start()

    async def round_trips(times: int) -> None:
        for _ in range(times):
            ref.ask(MESSAGE)

    yield round_trips
    ref.stop()


@asynccontextmanager
async def autogen_asks() -> AsyncIterator[Round]:
    runtime = SingleThreadedAgentRuntime()
    await AutogenEcho.register(runtime, "echo", lambda: AutogenEcho("echo"))
    runtime.start()
    echo = AgentId("echo", "default")
    yield asking(lambda message: runtime.send_message(message, echo))
    await runtime.stop()


@asynccontextmanager
async def ours() -> AsyncIterator[tuple[Round, Round, Round, Round]]:
    system = ActorSystem()
    echo, stream = await system.start(Echo("echo")), await system.start(Stream("stream"))
    relay = await system.start(Relay("relay", stream))

    def streaming(ref: ActorRef) -> Round:
        async def events(times: int) -> None:
            async with ref.stream(times) as session:
                async for _ in session:
                    pass

        return events

    with_terms = asking(lambda message: echo.ask(message, user="u", tier="pro", timeout=60))
    yield asking(echo.ask), with_terms, streaming(stream), streaming(relay)
    await system.stop(1)


async def measure(contenders: list[Contender], rounds: int) -> dict[str, float]:
    """The median microseconds of each."""
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds + 1):
        for contender in contenders:
            begun = time.perf_counter()
            await contender.round(contender.times)
            seconds[contender.name].append((time.perf_counter() - begun) / contender.times)
    return {name: statistics.median(each[1:]) * 1e6 for name, each in seconds.items()}


def show(title: str, micros: dict[str, float], base: str) -> None:
    print(f"\n| {title} | a second | µs each | rate, of {base} |\n|---|---:|---:|---:|")
    for name, each in micros.items():
        print(f"| {name} | {1e6 / each:,.0f} | {each:.2f} | {micros[base] / each:.2f} |")


async def main(rounds: int) -> None:
    """Measure and print, the promised figures last."""
    async with AsyncExitStack() as stack:
        ask, ask_with_terms, stream, relayed = await stack.enter_async_context(ours())
        asks = [
            Contender("bare queue + future", await stack.enter_async_context(bare_queue()), 4000),
            Contender("ours", ask, 2000),
            Contender("ours, user, tier, deadline", ask_with_terms, 2000),
            Contender("pykka", await stack.enter_async_context(pykka_asks()), 500),
            Contender("autogen-core", await stack.enter_async_context(autogen_asks()), 100),
        ]
        streams = [
            Contender("bare asyncio.Queue", await stack.enter_async_context(bare_stream()), 10000),
            Contender("ours", stream, 10000),
            Contender("ours, through a second actor", relayed, 10000),
        ]
        micros = await measure(asks, rounds)
        show("ask, one after another", micros, "bare queue + future")
        show("streamed event", await measure(streams, rounds), "bare asyncio.Queue")
    promises = [("bare queue + future", 0.4), ("pykka", 2.0), ("autogen-core", 10.0)]
    print("\n| ours against | promised | measured |\n|---|---:|---:|")
    for name, least in promises:
        print(f"| {name} | {least} | {micros[name] / micros['ours']:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    uvloop.run(main(parser.parse_args().rounds))
