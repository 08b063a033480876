"""Actors made of a function, in a system that is stopped after the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adiuva.runtime import Actor, ActorContext, ActorRef, ActorSystem

Receive = Callable[[Any, ActorContext], Awaitable[Any]]
Start = Callable[..., Awaitable[ActorRef]]


class FunctionActor(Actor):
    """Handles its messages with a function."""

    def __init__(self, name: str, receive: Receive, *, capacity: int, concurrency: int) -> None:
        super().__init__(name, capacity=capacity, concurrency=concurrency)
        self._receive = receive

    async def receive(self, payload: Any, ctx: ActorContext) -> Any:
        return await self._receive(payload, ctx)


class Gate:
    """Holds handlers until it is opened, and tells when one has come to it and when one was cancelled in it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, payload: Any = None, ctx: ActorContext | None = None) -> Any:
        del ctx
        self.reached.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return payload


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    system = ActorSystem()
    yield system
    await system.stop(0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def start(system: ActorSystem) -> Start:
    """Start an actor that handles its messages with the function given."""

    async def start_actor(
        receive: Receive, *, name: str = "actor", capacity: int = 1000, concurrency: int = 1
    ) -> ActorRef:
        return await system.start(FunctionActor(name, receive, capacity=capacity, concurrency=concurrency))

    return start_actor


async def turns(number: int = 10) -> None:
    """Let everything that is ready run, a few times over."""
    for _ in range(number):
        await asyncio.sleep(0)
