"""What REST and WebSocket share: from a `ChatRequest` and its user to a job that the orchestrator's actor answers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from aiohttp import web
from attrs import field, frozen

from adiuva.billing.tiers import models_open_to, require_agent, require_feature, require_model_choice
from adiuva.chat.messages import ChatJob, ChatResult, HistoryEntry
from adiuva.chat.models import AgentView, ChatRequest, ModelView
from adiuva.chat.observers import Observers
from adiuva.chat.outgoing import clean_result
from adiuva.chat.plans.models import wire_plan
from adiuva.chat.plans.planner import Plans
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.rights import Rights
from adiuva.chat.sanitizer import Sanitizer
from adiuva.errors import (
    AdiuvaError,
    DeadlineExceededError,
    LlmTimeoutError,
    NotFoundError,
    TierRequiredError,
    ValidationFailedError,
)
from adiuva.runtime import ActorRef, Session
from adiuva.sdk import Tool
from adiuva.web.access import Principal

EVENTS_BUFFERED = 8  # of one answer; a model's text may come in pieces of 64 KiB and more


@frozen(kw_only=True)
class Chat:
    """The chat of one application. Both `answer` and `session` end with `LlmTimeoutError` past ``deadline_seconds``."""

    registry: AgentRegistry
    orchestrator: ActorRef
    plans: Plans
    models: tuple[str, ...]  # what clients may ask for, the default one first; it is empty where none is configured
    router_model: str
    deadline_seconds: float
    sanitizer: Sanitizer
    observers: Observers = field(factory=Observers)
    refused_actions: Mapping[str, Counter[str]] = field(factory=dict)  # beyond the rights; by agent, and by tool

    def job(self, request: ChatRequest, principal: Principal, *, stream: bool) -> ChatJob:
        """The job that ``request`` asks for.

        Raises:
            ValidationFailedError: an agent or a model that is not there.
            TierRequiredError: one that is not part of the user's tier.
        """
        agents = self._chosen_agents(request, principal)
        return ChatJob(
            message=request.message,
            agents=agents,
            open_agents=() if agents else self.open_agents(principal),
            context=request.context,
            history=tuple(HistoryEntry(role=entry.role, content=entry.content) for entry in request.history),
            model=self._chosen_model(request, principal),
            router_model=self.router_model,
            grants=principal.plugins,
            stream=stream,
            plan=request.mode == "plan",
            client_tools=request.client_tools and stream,
        )

    def require(self, principal: Principal, agent: str) -> None:
        """Raise unless the user may talk to ``agent``.

        Raises:
            NotFoundError: it is not here, or of a plugin that the user has not installed.
            TierRequiredError: it is not part of the user's tier.
        """
        if not self._has(principal, agent):
            raise NotFoundError(f"There is no agent {agent} here.")
        self._require_tier(principal, agent)

    def rights(self, principal: Principal, agent: str) -> Rights:
        """What ``agent`` may do and see for this user."""
        manifest = self.registry.manifest_of(agent)
        return Rights.of(manifest, principal.plugins.get(manifest.id, ()) if manifest else ())

    async def answer(self, job: ChatJob, principal: Principal, *, line: str | None = None) -> ChatResult:
        """The whole answer at once, sanitized. ``line``: where it waits in mailboxes, instead of the user's own."""
        try:
            with _timeouts():
                result: ChatResult = await self.orchestrator.ask(
                    job,
                    user=str(principal.user_id),
                    tier=principal.tier,
                    timeout=self.deadline_seconds,
                    line=line,
                    trace=_trace(),
                )
        except AdiuvaError as error:
            raise self.clean_error(error) from None
        result = clean_result(self.sanitizer, result)
        self.observers.tell(principal, job.context, result.actions)
        return result

    def clean_error(self, error: Exception) -> Exception:
        """The error as it may go out: what an agent raises may quote its prompt."""
        if isinstance(error, AdiuvaError):
            error.message = self.sanitizer.text(error.message)
        if isinstance(error, ValidationFailedError):
            error.errors = tuple((field, self.sanitizer.text(fault)) for field, fault in error.errors)
        return error

    def session(self, job: ChatJob, principal: Principal) -> Session:
        """The answer as a stream of events, not sanitized yet; see `session_result` for its end.

        Whoever passes the events on tells ``observers`` about the actions that went out.
        """
        return self.orchestrator.stream(
            job,
            user=str(principal.user_id),
            tier=principal.tier,
            timeout=self.deadline_seconds,
            trace=_trace(),
            buffer=EVENTS_BUFFERED,
        )

    def agents_for(self, principal: Principal) -> list[AgentView]:
        """Every agent but those of plugins that the user has not installed, and whether the tier may use it."""
        return [
            AgentView(
                name=agent.name,
                description=agent.description,
                tools=list(self.tools_of(principal, agent.name)),
                available=self._open(principal, agent.name),
            )
            for agent in self.registry.list_agents()
            if self._has(principal, agent.name)
        ]

    def open_agents(self, principal: Principal) -> tuple[str, ...]:
        """The names of the agents that the user may talk to."""
        return tuple(
            name for name in self.registry.names() if self._has(principal, name) and self._open(principal, name)
        )

    def tools_of(self, principal: Principal, agent: str) -> dict[str, Tool]:
        """The tools of an agent as far as the user's rights reach."""
        found = self.registry.get(agent)
        return {} if found is None else self.rights(principal, agent).tools(found.tools())

    def models_for(self, tier: str) -> list[ModelView]:
        """Every model that clients may ask for, and whether ``tier`` may."""
        return [
            ModelView(id=name, default=index == 0, available=index == 0 or models_open_to(tier))
            for index, name in enumerate(self.models)
            if name
        ]

    def _chosen_agents(self, request: ChatRequest, principal: Principal) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(request.agents or ()))
        unknown = [
            (f"agents[{index}]", "is not an agent here")
            for index, name in enumerate(names)
            if not self._has(principal, name)
        ]
        if unknown:
            raise ValidationFailedError(unknown)
        for name in names:
            self._require_tier(principal, name)
        return names

    def _has(self, principal: Principal, agent: str) -> bool:
        """Whether there is such an agent for this user: a plugin's is there for those who have installed it."""
        manifest = self.registry.manifest_of(agent)
        return self.registry.get(agent) is not None and (manifest is None or manifest.id in principal.plugins)

    def _require_tier(self, principal: Principal, agent: str) -> None:
        require_agent(principal.tier, agent)
        if self.registry.manifest_of(agent) is not None:
            require_feature(principal.tier, "marketplace")

    def _open(self, principal: Principal, agent: str) -> bool:
        try:
            self._require_tier(principal, agent)
        except TierRequiredError:
            return False
        return True

    def _chosen_model(self, request: ChatRequest, principal: Principal) -> str:
        if request.model is None or request.model == self.models[0]:
            return self.models[0]
        if request.model not in self.models:
            raise ValidationFailedError([("model", "is not a model of this server; see GET /models")])
        require_model_choice(principal.tier)
        return request.model


CHAT = web.AppKey("chat", Chat)


def session_result(session: Session) -> ChatResult:
    """The reply of a session whose events have ended; raises what its handler raised."""
    with _timeouts():
        result: ChatResult = session.result()
    return result


def wire_result(result: ChatResult) -> dict[str, Any]:
    """A result as the wire shows it."""
    if result.plan is not None:
        return {"plan": wire_plan(result.plan), "usage": result.usage}
    return {"response": result.response, "actions": result.actions, "usage": result.usage}


@contextmanager
def _timeouts() -> Iterator[None]:
    """What the runtime calls a deadline is to a client a model that took too long."""
    try:
        yield
    except LlmTimeoutError:
        raise
    except DeadlineExceededError as error:
        raise LlmTimeoutError from error


def _trace() -> dict[str, str]:
    """The ids of this request, for the log of whoever works on it."""
    return {name: str(value) for name, value in structlog.contextvars.get_contextvars().items()}
