"""Puts together what the server tells of itself, and to whom."""

import platform
from datetime import datetime
from urllib.parse import urlsplit

from aiohttp import web
from attrs import frozen

from adiuva import __version__
from adiuva.chat.service import Chat
from adiuva.llm import offline
from adiuva.runtime import ActorSystem
from adiuva.runtime.ref import ActorRef
from adiuva.settings import Settings
from adiuva.status.models import About, ActorStatus, AdminStatus, LeftOut, LoadedPackage, Resources, ServerStatus
from adiuva.web.access import Principal


@frozen(kw_only=True)
class Status:
    """The server as it was put together."""

    settings: Settings
    actors: ActorSystem
    chat: Chat
    started_at: datetime

    def about(self) -> About:
        """What everyone may know."""
        env = self.settings.env
        return About(version=__version__, env=env, docs=env == "dev", resources=self._resources())

    def for_user(self, principal: Principal) -> ServerStatus:
        """The actors behind the agents that the user has; an admin sees all of them, and more."""
        seen = {agent.name for agent in self.chat.agents_for(principal)} | {self.chat.orchestrator.name}
        refs = [ref for ref in self.actors.refs() if principal.is_admin or ref.name in seen]
        return ServerStatus(
            started_at=self.started_at,
            mailbox_capacity=self.settings.mailbox_capacity,
            agent_concurrency=self.settings.agent_concurrency,
            actors=[_actor(ref) for ref in refs],
            admin=self._for_admins() if principal.is_admin else None,
        )

    def _resources(self) -> Resources:
        settings = self.settings
        models = [name for name in self.chat.models if name]
        return Resources(
            database="postgresql" if settings.database_url else "embedded",
            blobs="s3" if settings.s3_bucket else "files",
            vectors="pinecone" if settings.pinecone_api_key else "qdrant" if settings.qdrant_url else "embedded",
            model="none" if not models else "offline" if models[0] == offline.NAME else "configured",
            payments="stripe" if settings.stripe_secret_key else "stub",
            limits="redis" if settings.rate_limit_storage_url else "process",
        )

    def _for_admins(self) -> AdminStatus:
        registry = self.chat.registry
        return AdminStatus(
            python=platform.python_version(),
            places=self._places(),
            packages=[
                LoadedPackage(name=loaded.name, version=loaded.version, agents=[agent.name for agent in loaded.agents])
                for loaded in registry.plugins
            ],
            left_out=[LeftOut(name=failure.name, version=failure.version) for failure in registry.failures],
            blocked=list(registry.blocked),
        )

    def _places(self) -> dict[str, str]:
        settings = self.settings
        kept = str(settings.data_dir)
        places = {
            "database": (_host(settings.database_url) or "a local socket") if settings.database_url else kept,
            "blobs": kept,
            "vectors": _host(settings.qdrant_url) or kept,
            "model": _host(settings.llm_api_base),
            "payments": _host(settings.stripe_api_base),
            "limits": _host(settings.rate_limit_storage_url),
        }
        if settings.s3_bucket:
            places["blobs"] = f"{_host(settings.s3_endpoint_url) or 'AWS'}, bucket {settings.s3_bucket}"
        if settings.pinecone_api_key:
            places["vectors"] = f"index {settings.pinecone_index}"
        return {name: place for name, place in places.items() if place}


STATUS = web.AppKey("status", Status)


def _actor(ref: ActorRef) -> ActorStatus:
    counters = ref.counters()
    return ActorStatus(
        name=ref.name,
        state=counters.state,
        queued=counters.queued,
        running=counters.running,
        received=counters.received,
        handled=counters.handled,
        failed=counters.failed,
        refused=counters.refused,
        cancelled=counters.cancelled,
        expired=counters.expired,
        wait_seconds_total=round(counters.wait_seconds_total, 3),
    )


def _host(address: str) -> str:
    """Host and port of an address: never its user, password, path or query."""
    return urlsplit(address).netloc.rpartition("@")[2]
