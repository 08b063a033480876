"""A span for each message that an actor handles, in the trace that it was sent in."""

from collections.abc import Iterator
from contextlib import contextmanager

from adiuva.chat.agent_actor import AgentActor
from adiuva.observe.traces.provider import Traces
from adiuva.runtime import TRACEPARENT, Actor, Envelope


class MessageTraces:
    """The `Tracing` of ``adiuva.runtime``."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def sent(self, trace: dict[str, str]) -> dict[str, str]:
        """See `Tracing`."""
        carried = {**trace}
        self._traces.inject(carried)
        return carried

    @contextmanager
    def handling(self, actor: Actor, envelope: Envelope) -> Iterator[None]:
        """See `Tracing`."""
        name, attributes = actor.name, {"adiuva.actor": actor.name}
        if isinstance(actor, AgentActor):
            name = f"invoke_agent {actor.name}"
            attributes |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": actor.name}
        parent = self._traces.extract(envelope.trace.get(TRACEPARENT))
        with self._traces.span(name, attributes=attributes, parent=parent):
            yield
