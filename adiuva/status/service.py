"""Puts together what the server tells of itself, and to whom."""

import platform
from datetime import datetime

from aiohttp import web
from attrs import frozen
from yarl import URL

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
        settings, registry = self.settings, self.chat.registry
        bucket = f"{_place(settings.s3_endpoint_url) or 'AWS'}, bucket {settings.s3_bucket}"
        index = f"{_place(settings.pinecone_api_base) or 'Pinecone'}, index {settings.pinecone_index}"
        kept = str(settings.data_dir)
        return AdminStatus(
            python=platform.python_version(),
            places={
                "database": _place(settings.database_url) or kept,
                "blobs": bucket if settings.s3_bucket else kept,
                "vectors": index if settings.pinecone_api_key else _place(settings.qdrant_url) or kept,
                "model": _place(settings.llm_api_base) or "the provider's own address",
                "payments": _place(settings.stripe_api_base) or "Stripe's own address",
                "limits": _place(settings.rate_limit_storage_url) or "this process",
            },
            packages=[
                LoadedPackage(name=loaded.name, version=loaded.version, agents=[agent.name for agent in loaded.agents])
                for loaded in registry.plugins
            ],
            left_out=[LeftOut(name=failure.name, version=failure.version) for failure in registry.failures],
            blocked=list(registry.blocked),
        )


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


def _place(address: str) -> str:
    """Host, port and path of an address: never its user, password, query or fragment."""
    if not address:
        return ""
    url = URL(address)
    return f"{url.host or ''}{f':{url.explicit_port}' if url.explicit_port else ''}{url.path if url.path != '/' else ''}"
