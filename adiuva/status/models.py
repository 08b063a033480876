"""What a server tells of itself."""

from datetime import datetime
from typing import Literal

from attrs import field, frozen

from adiuva.runtime.messages import State


@frozen(kw_only=True)
class Resources:
    """What stands behind each need: only its kind, which everyone may know."""

    database: Literal["embedded", "postgresql"]
    blobs: Literal["files", "s3"]
    vectors: Literal["embedded", "qdrant", "pinecone"]
    model: Literal["offline", "configured", "none"]
    payments: Literal["stub", "stripe"]
    limits: Literal["process", "redis"]


@frozen(kw_only=True)
class About:
    """What runs, for everyone; `docs` is whether there is a page at `/docs`."""

    version: str
    env: Literal["dev", "prod"]
    docs: bool
    resources: Resources


@frozen(kw_only=True)
class ActorStatus:
    """An agent's actor, or the orchestrator's, since the start: what waits and runs now, and what has ended how."""

    name: str
    state: State
    queued: int
    running: int
    received: int
    handled: int
    failed: int
    refused: int
    cancelled: int
    expired: int
    wait_seconds_total: float  # between being sent and being handled, of all messages together


@frozen(kw_only=True)
class LoadedPackage:
    """A package with agents or observers that this server has loaded."""

    name: str
    version: str
    agents: list[str]


@frozen(kw_only=True)
class LeftOut:
    """A package that could not be loaded; `adiuva plugins` says why."""

    name: str
    version: str


@frozen(kw_only=True)
class AdminStatus:
    """What only admins are told. `places` says where each resource is, without credentials."""

    python: str
    places: dict[str, str]
    packages: list[LoadedPackage]
    left_out: list[LeftOut]
    blocked: list[str]


@frozen(kw_only=True)
class ServerStatus:
    """How the server does. An actor refuses what would make more than `mailbox_capacity` wait."""

    started_at: datetime
    mailbox_capacity: int
    agent_concurrency: int
    actors: list[ActorStatus]
    admin: AdminStatus | None = field(default=None)  # null for everyone else
