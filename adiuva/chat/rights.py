"""What an agent may do: its plugin's permissions, held when it runs."""

import re
from collections.abc import Iterable, Mapping

from attrs import frozen

from adiuva.sdk import Action, Permission, PluginManifest, Tool

_ACTION = re.compile(
    r"(?:create|add|update|delete|complete|archive|move)_(task|project|note|checkpoint|event)s?(?:_.*)?"
)
_KINDS = {
    "task": Permission.WRITE_TASKS,
    "project": Permission.WRITE_PROJECTS,
    "note": Permission.WRITE_NOTES,
    "checkpoint": Permission.WRITE_CHECKPOINTS,
    "event": Permission.WRITE_CALENDAR,
}


@frozen
class Rights:
    """The permissions of a plugin; None for the operator's own agents, which may do all that their tools do."""

    granted: frozenset[Permission] | None

    @classmethod
    def of(cls, manifest: PluginManifest | None) -> "Rights":
        """What ``manifest`` declares."""
        return cls(None if manifest is None else manifest.permissions)

    def tools(self, tools: Mapping[str, Tool]) -> dict[str, Tool]:
        """Those of ``tools`` that the model may be shown."""
        return {name: tool for name, tool in tools.items() if self._cover([tool.permission])}

    def allow(self, tool: Tool, action: Action) -> bool:
        """Whether ``tool`` may produce ``action``: only one of its own name, and, for a plugin, only with permission.

        The action's own name counts as well as what the author has declared.
        """
        if tool.read_only or action.name != tool.name:
            return False
        named = _ACTION.fullmatch(action.name)
        needed = [tool.permission, _KINDS[named[1]] if named else None]
        return self._cover(needed) and (self.granted is None or any(needed))

    def _cover(self, needed: Iterable[Permission | None]) -> bool:
        return self.granted is None or all(permission in self.granted for permission in needed if permission)
