"""What an agent may do and see: the rights of its plugin, held when it runs.

A plugin's agent gets what its manifest declares, what was approved of that, and what the user accepted: all three. The
operator's own agents may do all that their tools do, and see all that the client sent.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from attrs import frozen

from adiuva.sdk import Action, Agent, Permission, PluginManifest, Tool

_KINDS: Final = {
    "task": "tasks",
    "project": "projects",
    "note": "notes",
    "checkpoint": "checkpoints",
    "event": "calendar",
    "calendar": "calendar",
}
_OF_TASKS: Final = frozenset({"comments"})  # lists of a context whose name does not say whose they are
_SETTINGS: Final = "plugins"  # of all plugins, each other's secrets among them
_VECTORS: Final = "vectors"  # found among entries of any kind
READ_ALL: Final = frozenset(Permission(f"read:{kind}") for kind in ("tasks", "projects", "notes", "checkpoints"))


@frozen
class Rights:
    """The permissions that a plugin has for one user; None for the operator's own agents."""

    granted: frozenset[Permission] | None

    @classmethod
    def of(cls, manifest: PluginManifest | None, accepted: Collection[str] = frozenset()) -> "Rights":
        """What ``manifest`` declares, as far as it is among ``accepted``: approved, and accepted by the user."""
        return cls(None if manifest is None else frozenset(each for each in manifest.permissions if each in accepted))

    def tools(self, tools: Mapping[str, Tool]) -> dict[str, Tool]:
        """Those of ``tools`` that the model may be shown. A tool's name counts as well as what its author declares."""
        return {name: tool for name, tool in tools.items() if self._cover(_needed(tool))}

    def allow(self, tool: Tool, action: Action) -> bool:
        """Whether ``tool`` may produce ``action``: only one of its name, and, for a plugin, only with permission."""
        if tool.read_only or action.name != tool.name:
            return False
        if self.granted is None:
            return True
        needed = _needed(tool)
        return self._cover(needed) and any(permission.writes for permission in needed)

    def sees(self, name: str) -> bool:
        """Whether it may read what an action or a list of the context is about, going by its name."""
        needed = Permission.READ_TASKS if name in _OF_TASKS else permission_of(name, writes=False)
        return needed is None or self._cover([needed])

    def knows(self, name: str) -> bool:
        """Whether it may hear of an action of this name: for a plugin, one of a kind that it may read."""
        return self.granted is None or (permission_of(name, writes=False) is not None and self.sees(name))

    def context(self, data: dict[str, Any]) -> dict[str, Any]:
        """The part of a request's context that it may read. Other plugins' settings are never in it."""
        if self.granted is None:
            return data
        return {
            name: value
            for name, value in data.items()
            if name != _SETTINGS and (self._cover(READ_ALL) if name == _VECTORS else self.sees(name))
        }

    def results(
        self, results: Iterable[Mapping[str, Any]], reach: Mapping[str, frozenset[Permission]]
    ) -> tuple[dict[str, Any], ...]:
        """Earlier results, as far as it may read what they came from.

        ``reach`` is what the agents of this server read, by name. What came from elsewhere may be about anything.
        """
        if self.granted is None:
            return tuple(dict(result) for result in results)
        return tuple(self._result(result, reach.get(str(result.get("agent")), READ_ALL)) for result in results)

    def _result(self, result: Mapping[str, Any], reach: frozenset[Permission]) -> dict[str, Any]:
        if self._cover(reach):
            return dict(result)
        actions = result.get("actions")
        seen = [
            action
            for action in (actions if isinstance(actions, list) else [])
            if isinstance(action, dict) and self.knows(str(action.get("action")))
        ]
        return {**result, "response": "", "actions": seen}

    def _cover(self, needed: Iterable[Permission]) -> bool:
        return self.granted is None or self.granted.issuperset(needed)


def permission_of(name: str, *, writes: bool) -> Permission | None:
    """What the name of a tool, an action or a list says that it needs: ``create_task`` is about tasks.

    The first noun counts, so that ``move_task_to_project`` is about tasks as well.
    """
    for word in re.split(r"[^a-z]+", name.lower()):
        if kind := _KINDS.get(word.removesuffix("s")):
            return Permission(f"{'write' if writes else 'read'}:{kind}")
    return None


def reach_of(agent: Agent, manifest: PluginManifest | None) -> frozenset[Permission]:
    """What an agent's answers may be about, as permissions to read it."""
    if manifest is not None:
        return frozenset(Permission(f"read:{each.partition(':')[2]}") for each in manifest.permissions)
    found: set[Permission] = set()
    for tool in agent.tools().values():
        needed = _needed(tool)
        found |= {Permission(f"read:{each.partition(':')[2]}") for each in needed} if needed else READ_ALL
    return frozenset(found)


def _needed(tool: Tool) -> set[Permission]:
    named = permission_of(tool.name, writes=not tool.read_only)
    return {permission for permission in (tool.permission, named) if permission is not None}
