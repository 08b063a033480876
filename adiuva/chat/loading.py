"""Loads plugins: the modules of the entry-point group ``adiuva``, one by one, each in a guard of its own."""

import inspect
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

import pluggy
import structlog
from attrs import field, frozen

from adiuva.chat.plans.templates import BUILT_IN
from adiuva.sdk import ActionObserver, Agent, PluginManifest, PromptTemplate, Tool, hookspecs

log = structlog.get_logger(__name__)

T = TypeVar("T")

LOAD_SECONDS: Final = 10.0  # for a module to be imported, and as long again for each of its hooks

# These load before all others, so that nobody else can take their agents' names or plugin ids.
FIRST_PARTY: Final = (
    "adiuva-checkpoint-agent",
    "adiuva-note-agent",
    "adiuva-project-agent",
    "adiuva-task-agent",
    "adiuva-github-sync",
    "adiuva-slack-notifier",
    "adiuva-time-tracker",
)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@frozen(kw_only=True)
class LoadedPlugin:
    """A module that registered: its entry point's name, its distribution's version, and what it brought."""

    name: str
    version: str
    agents: tuple[Agent, ...] = field(repr=False)
    manifest: PluginManifest | None
    templates: tuple[PromptTemplate, ...] = field(default=(), repr=False)
    observers: tuple[ActionObserver, ...] = field(default=(), repr=False)

    def contents(self) -> dict[str, list[str]]:
        """What it brings, by kind, for an operator to read; kinds of which there is nothing are left out."""
        manifest = self.manifest
        found: dict[str, list[str]] = {
            "marketplace plugin": [manifest.id] if manifest else [],
            "permissions": sorted(manifest.permissions) if manifest else [],
            "agents": [agent.name for agent in self.agents],
            "templates": [template.id for template in self.templates],
            "observers": [observer.name for observer in self.observers],
        }
        return {kind: items for kind, items in found.items() if items}


@frozen(kw_only=True)
class PluginFailure:
    """A module that was left out, and why; ``error`` is for the operator."""

    name: str
    version: str
    error: str


class _RefusedError(Exception):
    """What a plugin brought cannot be taken."""


def load_plugins(
    blocked: Collection[str], seconds: float
) -> tuple[tuple[LoadedPlugin, ...], tuple[PluginFailure, ...], tuple[str, ...]]:
    """What has registered, what has failed, and the names of what was in ``blocked``; each has so many ``seconds``."""
    loader = _Loader(blocked, seconds)
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=_load_order):
        loader.load(entry)
    return tuple(loader.plugins), tuple(loader.failures), tuple(loader.blocked)


def _in_time(work: Callable[[], T], seconds: float) -> T:
    """What ``work`` gives. It runs in a thread of its own, which is left behind if it takes longer."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - a third party's code, which may do anything
            outcome.set_exception(error)

    threading.Thread(target=run, name="plugin", daemon=True).start()
    wait([outcome], timeout=seconds)
    if not outcome.done():
        raise _RefusedError(f"it took longer than {seconds:g} s to load")
    error = outcome.exception()
    if error is not None and not isinstance(error, Exception):
        raise _RefusedError(f"{type(error).__name__}: {error}")
    return outcome.result()


class _Loader:
    """Loads entry points one by one; what it has taken so far decides whether a name is still free."""

    def __init__(self, blocked: Collection[str], seconds: float) -> None:
        self.plugins: list[LoadedPlugin] = []
        self.failures: list[PluginFailure] = []
        self.blocked: list[str] = []
        self._to_block = blocked
        self._seconds = seconds
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def load(self, entry: EntryPoint) -> None:
        if entry.name in self._to_block or _distribution(entry) in map(_normalised, self._to_block):
            self.blocked.append(entry.name)
            return
        with self._guard(entry):
            module = _in_time(entry.load, self._seconds)
            with self._registered(entry.name, module):
                self._take(entry, module)

    @contextmanager
    def _guard(self, entry: EntryPoint) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a third party's code, which may do anything
            text = str(error) if isinstance(error, _RefusedError) else f"{type(error).__name__}: {error}"
            failure = PluginFailure(name=entry.name, version=_version(entry), error=text)
            self.failures.append(failure)
            log.warning("plugin skipped", plugin=failure.name, version=failure.version, error=failure.error)

    @contextmanager
    def _registered(self, name: str, module: Any) -> Iterator[None]:
        if self._manager.has_plugin(name):
            raise _RefusedError(f"the name {name!r} is taken by another plugin")
        if self._manager.is_registered(module):
            raise _RefusedError("another entry point names the same module")
        try:
            self._manager.register(module, name)
            self._manager.check_pending()
            yield
        except BaseException:
            # A wrong signature is found after pluggy has noted the plugin, so it may be there or not.
            if self._manager.is_registered(module):
                self._manager.unregister(module)
            raise

    def _take(self, entry: EntryPoint, module: Any) -> None:
        if not self._manager.get_hookcallers(module):
            raise _RefusedError("it implements no hook; is @hookimpl missing?")
        manifest = _checked_manifest(self._call(module, "adiuva_plugin"))
        if manifest and manifest.id in self._to_block:
            self._manager.unregister(module)
            self.blocked.append(entry.name)
            return
        there = self.plugins
        if manifest:
            _require_free("plugin id", [manifest.id], [other.manifest.id for other in there if other.manifest])
        agents = _checked_agents(self._call(module, "adiuva_agents"))
        _require_free("agent name", _names(agents), [name for other in there for name in _names(other.agents)])
        templates = _checked_templates(self._call(module, "adiuva_templates"), agents)
        ids = [template.id for known in (BUILT_IN, *(other.templates for other in there)) for template in known]
        _require_free("template id", [template.id for template in templates], ids)
        observers = _checked_observers(self._call(module, "adiuva_action_observers"))
        _require_free("observer name", _names(observers), [name for other in there for name in _names(other.observers)])
        self.plugins.append(
            LoadedPlugin(
                name=entry.name,
                version=_version(entry),
                agents=agents,
                manifest=manifest,
                templates=templates,
                observers=observers,
            )
        )

    def _call(self, module: Any, hook: str) -> Any:
        """What ``module`` answers to ``hook``; None if it does not implement it."""
        if hook not in {caller.name for caller in self._manager.get_hookcallers(module) or ()}:
            return None
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not module]
        caller: Callable[[], list[Any]] = self._manager.subset_hook_caller(hook, others)
        answers = _in_time(caller, self._seconds)
        if not answers:
            raise _RefusedError(f"{hook} returned None")
        return answers[0]


def _require_free(what: str, names: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse a name that another plugin has, or that is given twice."""
    seen = set(taken)
    for name in names:
        if name in seen:
            raise _RefusedError(f"the {what} {name!r} is taken")
        seen.add(name)


def _names(items: Iterable[Agent | ActionObserver]) -> list[str]:
    return [item.name for item in items]


def _checked_manifest(answer: Any) -> PluginManifest | None:
    if answer is not None and not isinstance(answer, PluginManifest):
        raise _RefusedError(f"adiuva_plugin returned {type(answer).__name__}, not a PluginManifest")
    return answer


def _listed(hook: str, answer: Any, kind: type[T], plural: str) -> tuple[T, ...]:
    """What a hook that gives a list has given; nothing where it is not implemented."""
    if answer is None:
        return ()
    if not isinstance(answer, list | tuple):
        raise _RefusedError(f"{hook} returned {type(answer).__name__}, not a list of {plural}")
    for item in answer:
        if not isinstance(item, kind):
            raise _RefusedError(f"{hook} returned a list with {type(item).__name__}, which is no {kind.__name__}")
    return tuple(answer)


def _checked_agents(answer: Any) -> tuple[Agent, ...]:
    for item in answer if isinstance(answer, list | tuple) else ():
        if isinstance(item, type) and issubclass(item, Agent):
            raise _RefusedError(f"adiuva_agents returned the class {item.__name__}; return {item.__name__}()")
    agents = _listed("adiuva_agents", answer, Agent, "agents")
    for agent in agents:
        _check_agent(agent)
    return agents


def _checked_templates(answer: Any, agents: Iterable[Agent]) -> tuple[PromptTemplate, ...]:
    templates = _listed("adiuva_templates", answer, PromptTemplate, "templates")
    names = _names(agents)
    for template in templates:
        if template.agent not in names:
            raise _RefusedError(f"the template {template.id!r} is for {template.agent!r}, no agent of this module")
    return templates


def _checked_observers(answer: Any) -> tuple[ActionObserver, ...]:
    observers = _listed("adiuva_action_observers", answer, ActionObserver, "observers")
    for observer in observers:
        name = getattr(observer, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _RefusedError(f"the observer name {name!r} must be like 'garden_diary', 64 characters at most")
        if not inspect.iscoroutinefunction(observer.observe):
            raise _RefusedError(f"{type(observer).__name__}.observe must be async")
        if isinstance(observer.batch_seconds, bool) or not isinstance(observer.batch_seconds, int | float):
            raise _RefusedError(f"{type(observer).__name__}.batch_seconds must be a number of seconds")
    return observers


def _check_agent(agent: Agent) -> None:
    for text in ("name", "description", "instructions"):
        value = getattr(agent, text, None)
        if not isinstance(value, str) or not value.strip():
            raise _RefusedError(f"{type(agent).__name__}.{text} must be a text that is not empty")
    if not _NAME.fullmatch(agent.name):
        raise _RefusedError(f"the agent name {agent.name!r} must be like 'garden_agent', 64 characters at most")
    for name, tool in agent.tools().items():
        if not isinstance(tool, Tool):
            raise _RefusedError(f"{type(agent).__name__}.tools() has {name!r}, which is no Tool")


def _distribution(entry: EntryPoint) -> str:
    return _normalised(entry.dist.name) if entry.dist else ""


def _normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist else ""


def _load_order(entry: EntryPoint) -> tuple[bool, str, str]:
    distribution = _distribution(entry)
    return distribution not in FIRST_PARTY, distribution, entry.name
