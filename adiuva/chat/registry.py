"""The agents of this server, and what else its plugins have brought."""

from collections.abc import Collection

from attrs import field, frozen

from adiuva.chat.loading import FIRST_PARTY, LOAD_SECONDS, LoadedPlugin, PluginFailure, load_plugins
from adiuva.sdk import ActionObserver, Agent, PluginManifest, PromptTemplate

__all__ = ["FIRST_PARTY", "AgentRegistry", "LoadedPlugin", "PluginFailure"]


@frozen(kw_only=True)
class AgentRegistry:
    """Which agents there are. Made when the app is, and never changed."""

    plugins: tuple[LoadedPlugin, ...] = ()
    failures: tuple[PluginFailure, ...] = ()
    blocked: tuple[str, ...] = ()
    _agents: dict[str, tuple[Agent, PluginManifest | None]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        agents = {agent.name: (agent, plugin.manifest) for plugin in self.plugins for agent in plugin.agents}
        object.__setattr__(self, "_agents", dict(sorted(agents.items())))

    @classmethod
    def load(cls, blocked: Collection[str] = frozenset(), *, seconds: float = LOAD_SECONDS) -> "AgentRegistry":
        """Load all installed plugins but those in ``blocked``: names of entry points, of distributions, or plugin ids.

        The first two kinds are not even imported. A plugin that fails in any way, or takes more than ``seconds``, is
        logged, listed in ``failures``, and does not touch the others.
        """
        plugins, failures, left_out = load_plugins(blocked, seconds)
        return cls(plugins=plugins, failures=failures, blocked=left_out)

    @classmethod
    def of(cls, *agents: Agent, manifest: PluginManifest | None = None) -> "AgentRegistry":
        """A registry of these very agents, for tests; with ``manifest`` they belong to that plugin."""
        return cls(plugins=(LoadedPlugin(name="test", version="", agents=agents, manifest=manifest),))

    def get(self, name: str) -> Agent | None:
        """The agent of that name; None if there is none."""
        found = self._agents.get(name)
        return found[0] if found else None

    def list_agents(self) -> list[Agent]:
        """All agents, by name."""
        return [agent for agent, _ in self._agents.values()]

    def names(self) -> tuple[str, ...]:
        """The names of all agents, in the order of the alphabet."""
        return tuple(self._agents)

    def templates(self) -> tuple[PromptTemplate, ...]:
        """The prompt templates that came with the agents."""
        return tuple(template for plugin in self.plugins for template in plugin.templates)

    def observers(self) -> tuple[tuple[ActionObserver, PluginManifest | None], ...]:
        """What is told about actions, each with the manifest of its plugin; None for the operator's own."""
        return tuple((observer, plugin.manifest) for plugin in self.plugins for observer in plugin.observers)

    def manifest_of(self, name: str) -> PluginManifest | None:
        """The manifest of the plugin that the agent belongs to; None for the operator's own and for unknown ones."""
        found = self._agents.get(name)
        return found[1] if found else None
