"""Tells plugins what actions the agents have produced, behind the answer's back."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import aiohttp
import structlog
from attrs import field, frozen

from adiuva.billing.tiers import open_to
from adiuva.chat.context import client_now
from adiuva.chat.messages import ProducedAction
from adiuva.chat.rights import Rights, permission_of
from adiuva.errors import UnavailableError
from adiuva.runtime import Actor, ActorContext, ActorRef, ActorSystem
from adiuva.sdk import Action, ActionObserver, Context, PluginManifest
from adiuva.web.access import Principal

log = structlog.get_logger(__name__)

OBSERVE_SECONDS: Final = 60.0
BATCH: Final = 100  # actions at once
WAITING: Final = 500  # actions of one user
MAX_BATCH_SECONDS: Final = 10.0


@frozen(kw_only=True)
class Observation:
    """What one request has produced, as far as one observer may see it."""

    actions: tuple[Action, ...] = field(repr=False)
    data: dict[str, list[dict[str, Any]]] = field(repr=False)  # the entries that the actions name
    settings: dict[str, Any] = field(repr=False)
    now: datetime


class ObserverActor(Actor):
    """Gathers each user's observations for a moment, and calls the observer with all of them at once."""

    def __init__(
        self, observer: ActionObserver, *, http: aiohttp.ClientSession, capacity: int, concurrency: int
    ) -> None:
        super().__init__(f"observer:{observer.name}", capacity=capacity, concurrency=concurrency)
        self._observer = observer
        self._http = http
        self._log = structlog.get_logger(f"adiuva.observers.{observer.name}")
        self._gathering: dict[str, list[Observation]] = {}  # by user, where somebody is at work

    async def receive(self, payload: Observation, ctx: ActorContext) -> None:
        """Add ``payload`` to what is gathered for its user, or begin to gather."""
        gathered = self._gathering.get(ctx.user)
        if gathered is not None:
            self._add(payload, gathered)
            return
        gathered = self._gathering[ctx.user] = [payload]
        try:
            await asyncio.sleep(min(self._observer.batch_seconds, MAX_BATCH_SECONDS))
            while gathered:
                await self._observe(_take(gathered), ctx)
        finally:
            del self._gathering[ctx.user]
            if gathered:
                log.warning("actions not observed", observer=self._observer.name, lost=_count(gathered))

    def _add(self, payload: Observation, gathered: list[Observation]) -> None:
        if _count(gathered) + len(payload.actions) > WAITING:
            log.warning("actions not observed", observer=self._observer.name, lost=len(payload.actions))
            return
        gathered.append(payload)

    async def _observe(self, batch: list[Observation], ctx: ActorContext) -> None:
        actions = [action for observation in batch for action in observation.actions]
        context = Context(
            user_id=ctx.user,
            tier=ctx.tier,
            data=_together(observation.data for observation in batch),
            now=batch[-1].now,
            settings=batch[-1].settings,
            http=self._http,
            log=self._log,
        )
        try:
            async with asyncio.timeout(OBSERVE_SECONDS):
                await self._observer.observe(actions, context)
        except asyncio.CancelledError:
            log.warning("actions not observed", observer=self._observer.name, lost=len(actions))
            raise
        except Exception as error:  # noqa: BLE001 - a third party's code; what it says may hold the user's data
            fault, lost = type(error).__name__, len(actions)
            log.warning("observer failed", observer=self._observer.name, error=fault, lost=lost)


@frozen(kw_only=True)
class Watching:
    """An observer at work: where to tell it, and the plugin whose rights it has."""

    ref: ActorRef
    manifest: PluginManifest | None


@frozen
class Observers:
    """All observers of this server."""

    watching: tuple[Watching, ...] = ()

    @classmethod
    async def start(
        cls,
        system: ActorSystem,
        found: Iterable[tuple[ActionObserver, PluginManifest | None]],
        *,
        http: aiohttp.ClientSession,
        capacity: int,
        concurrency: int,
    ) -> "Observers":
        """Start an actor for each of them."""
        return cls(
            tuple(
                [
                    Watching(
                        ref=await system.start(
                            ObserverActor(observer, http=http, capacity=capacity, concurrency=concurrency)
                        ),
                        manifest=manifest,
                    )
                    for observer, manifest in found
                ]
            )
        )

    def tell(self, principal: Principal, context: Mapping[str, Any], actions: Sequence[ProducedAction]) -> None:
        """Tell those whom it concerns about ``actions``, which have been given to the client. Waits for nobody."""
        if not actions:
            return
        for watching in self.watching:
            rights = _rights_of(watching.manifest, principal)
            seen = [action for action in actions if rights is not None and rights.knows(action.action)]
            if rights is not None and seen:
                self._tell(watching, principal, context, rights, seen)

    def _tell(
        self,
        watching: Watching,
        principal: Principal,
        context: Mapping[str, Any],
        rights: Rights,
        seen: list[ProducedAction],
    ) -> None:
        observation = Observation(
            actions=tuple(
                Action(action.action, action.params, requires_confirmation=action.requires_confirmation)
                for action in seen
            ),
            data=_named(rights.context(dict(context)), seen),
            settings=plugin_settings(context, watching.manifest.id if watching.manifest else None),
            now=client_now(dict(context)),
        )
        try:
            watching.ref.tell(observation, user=str(principal.user_id), tier=principal.tier)
        except UnavailableError as error:  # full, or stopping
            log.warning("actions not observed", observer=watching.ref.name, lost=len(seen), error=error.code)


def plugin_settings(context: Mapping[str, Any], plugin_id: str | None) -> dict[str, Any]:
    """The settings of one plugin, as the client sent them; empty where it sent none."""
    plugins = context.get("plugins")
    mine = plugins.get(plugin_id) if isinstance(plugins, dict) and plugin_id else None
    return mine if isinstance(mine, dict) else {}


def _rights_of(manifest: PluginManifest | None, principal: Principal) -> Rights | None:
    """What an observer has for this user; None where it has no business with the user at all."""
    if manifest is None:
        return Rights.of(None)
    if manifest.id not in principal.plugins or not open_to(principal.tier, "marketplace"):
        return None
    return Rights.of(manifest, principal.plugins[manifest.id])


def _named(data: Mapping[str, Any], actions: Iterable[ProducedAction]) -> dict[str, list[dict[str, Any]]]:
    """The entries of ``data`` that the actions name by an id of theirs: ``task_id`` one of ``tasks``."""
    context = Context(data=dict(data))
    found: dict[str, list[dict[str, Any]]] = {}
    for action in actions:
        for name, value in action.params.items():
            permission = permission_of(name, writes=False) if name.endswith("_id") else None
            if permission is None or not isinstance(value, str):
                continue
            kind = permission.partition(":")[2]
            if (entry := context.find(kind, value)) is not None and entry not in found.setdefault(kind, []):
                found[kind].append(entry)
    return found


def _take(gathered: list[Observation]) -> list[Observation]:
    """The next batch, which goes with one set of settings; one observation may be larger than a batch."""
    end, size = 1, len(gathered[0].actions)
    while end < len(gathered) and gathered[end].settings == gathered[0].settings:
        size += len(gathered[end].actions)
        if size > BATCH:
            break
        end += 1
    batch, gathered[:end] = gathered[:end], []
    return batch


def _together(parts: Iterable[Mapping[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """Later entries of the same kind come first, as `Context.find` takes the first."""
    together: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for kind, entries in part.items():
            together[kind] = [*entries, *together.get(kind, [])]
    return together


def _count(observations: Iterable[Observation]) -> int:
    return sum(len(observation.actions) for observation in observations)
