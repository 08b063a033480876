"""How a message stays part of the trace that it was sent in; whoever makes traces implements `Tracing`."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol

from adiuva.runtime.actor import Actor, ActorContext
from adiuva.runtime.messages import Envelope


class Tracing(Protocol):
    """Both methods are called in the task that they are about. A system without one takes no time for it."""

    def sent(self, trace: dict[str, str]) -> dict[str, str]:
        """What a message that is sent now has for its trace context; ``trace`` is what its sender gave it."""
        ...

    def handling(self, actor: Actor, envelope: Envelope) -> AbstractContextManager[None]:
        """Around the handling of a message, which ``envelope.trace`` tells the origin of."""
        ...


def traced(actor: Actor, tracing: Tracing) -> Callable[[Any, ActorContext], Coroutine[Any, Any, Any]]:
    """``actor.receive`` within `Tracing.handling`."""

    async def receive(payload: Any, ctx: ActorContext) -> Any:
        with tracing.handling(actor, ctx.envelope):
            return await actor.receive(payload, ctx)

    return receive
