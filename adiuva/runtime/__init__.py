"""Actors in one process: bounded mailboxes, ask, tell and stream, deadlines, cancellation, supervision.

Knows no HTTP, SQL or model.
"""

from adiuva.runtime.actor import Actor, ActorContext
from adiuva.runtime.errors import HandlerCrashedError, RequestCancelledError
from adiuva.runtime.messages import TRACEPARENT, Counters, Envelope
from adiuva.runtime.ref import ActorRef
from adiuva.runtime.session import Session
from adiuva.runtime.system import ActorSystem
from adiuva.runtime.tracing import Tracing

__all__ = [
    "TRACEPARENT",
    "Actor",
    "ActorContext",
    "ActorRef",
    "ActorSystem",
    "Counters",
    "Envelope",
    "HandlerCrashedError",
    "RequestCancelledError",
    "Session",
    "Tracing",
]
