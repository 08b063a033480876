"""What a client holds: lists of tasks, projects, checkpoints and notes, to which the server's actions are applied.

The desktop app does this with its own decrypted data; the terminal client and the demo do it with plain lists.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, field

KINDS = {"task": "tasks", "project": "projects", "checkpoint": "checkpoints", "note": "notes"}


@define
class LocalData:
    """The lists by their name in the context (``tasks``, …), each of objects with an ``id``."""

    lists: dict[str, list[dict[str, Any]]] = field(factory=lambda: {name: [] for name in KINDS.values()})

    def context(self) -> dict[str, Any]:
        """The context of a request: the lists, and the time here."""
        return {**self.lists, "now": datetime.now().astimezone().isoformat()}

    def apply(self, action: dict[str, Any]) -> bool:
        """Apply one action; False where it is none that this client knows, or its object is not here."""
        verb, _, noun = action["action"].partition("_")
        change = _CHANGES.get(verb)
        if change is None:
            return False
        if noun in KINDS:
            return change(self.lists.setdefault(KINDS[noun], []), action["id"], f"{noun}_id", action["params"])
        if noun == "task_comment":
            return self._apply_comment(change, action)
        return False

    def _apply_comment(self, change: "Change", action: dict[str, Any]) -> bool:
        params = dict(action["params"])
        task_id = params.pop("task_id", None)
        for task in self.lists.get("tasks", []):
            if task.get("id") == task_id:
                return change(task.setdefault("comments", []), action["id"], "comment_id", params)
        return False


Change = Callable[[list[dict[str, Any]], str, str, dict[str, Any]], bool]


def _create(items: list[dict[str, Any]], new_id: str, _: str, params: dict[str, Any]) -> bool:
    items.append({"id": new_id, **params})
    return True


def _update(items: list[dict[str, Any]], _: str, id_name: str, params: dict[str, Any]) -> bool:
    changes = {name: value for name, value in params.items() if name != id_name}
    for item in items:
        if item.get("id") == params.get(id_name):
            item.update(changes)
            return True
    return False


def _delete(items: list[dict[str, Any]], _: str, id_name: str, params: dict[str, Any]) -> bool:
    kept = [item for item in items if item.get("id") != params.get(id_name)]
    found = len(kept) < len(items)
    items[:] = kept
    return found


_CHANGES: dict[str, Change] = {"create": _create, "add": _create, "update": _update, "delete": _delete}
