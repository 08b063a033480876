"""What a client holds: tasks, projects, checkpoints, notes; read for the server's agents, changed by their actions.

The desktop app does this with its own decrypted data; the terminal client does it with a file, and the demo with plain
lists.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import define, field

from adiuva.errors import AdiuvaError
from adiuva.sdk import Context

KINDS = {"task": "tasks", "project": "projects", "checkpoint": "checkpoints", "note": "notes"}
TIME = "time_entries"  # of the time tracker, whose report is made by the server: they go along with each request
_TIMES = {"start_timer": "create", "stop_timer": "update", "log_time": "create"}


class LocalDataError(AdiuvaError):
    """A file cannot be read or written, or a question not be answered from it."""

    code = "local_data"


@define
class LocalData:
    """``lists`` is the content: the lists by their name in the context (``tasks``, …), and whatever else there is.

    With a ``file`` it is read from there, and written back by `save`.
    """

    lists: dict[str, Any] = field(factory=lambda: {name: [] for name in KINDS.values()})
    file: Path | None = None

    def load(self) -> None:
        """Read the file anew, if there is one: someone else may have changed it.

        Raises:
            LocalDataError: It cannot be read, or is not what it has to be.
        """
        if self.file is None or not self.file.exists():
            return
        lists = read_object(self.file)
        for name in KINDS.values():
            items = lists.setdefault(name, [])
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise LocalDataError(f"{self.file}: {name} has to be a list of objects.")
        self.lists = lists

    def save(self) -> None:
        """Write the file, if there is one: all of it, or on a fault nothing. Raises `LocalDataError`."""
        if self.file is None:
            return
        target = self.file.resolve()  # a link stays one
        try:
            _replace(target, orjson.dumps(self.lists, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise LocalDataError(f"{self.file} cannot be written: {error.strerror}.") from error

    def context(self) -> dict[str, Any]:
        """The context of a request: the time here, and the lists unless they are in a file, where tools read them."""
        sent = {TIME: self.lists[TIME]} if TIME in self.lists else {}
        return {**(sent if self.file else self.lists), "now": datetime.now().astimezone().isoformat()}

    def answer(self, tool: str, params: dict[str, Any]) -> Any:
        """What a read tool of the agents finds here. Raises `LocalDataError` where it cannot be told."""
        ctx = Context(data=self.lists, now=datetime.now().astimezone())
        given = {name: value for name, value in params.items() if value is not None}
        verb, _, noun = tool.partition("_")
        if verb == "get" and noun in KINDS:
            return _find(ctx, noun, given)
        if verb == "list" and (items := _listed(ctx, noun, given)) is not None:
            return [item for item in items if all(_fits(ctx, item, name, value) for name, value in given.items())]
        raise LocalDataError(f"There is no tool {tool} here.")

    def apply(self, action: dict[str, Any]) -> bool:
        """Apply one action; False where it is none that this client knows, or its object is not here."""
        if action["action"] in _TIMES:
            times = self.lists.setdefault(TIME, [])
            return _CHANGES[_TIMES[action["action"]]](times, action["id"], "entry_id", action["params"])
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
        task = Context(data=self.lists).find("tasks", params.pop("task_id", ""))
        return task is not None and change(task.setdefault("comments", []), action["id"], "comment_id", params)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `LocalDataError`."""
    try:
        content = orjson.loads(file.read_bytes())
    except OSError as error:
        raise LocalDataError(f"{file} cannot be read: {error.strerror}.") from error
    except orjson.JSONDecodeError as error:
        raise LocalDataError(f"{file} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise LocalDataError(f"{file} is not a JSON object.")
    return content


def _replace(target: Path, content: bytes) -> None:
    handle, aside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            Path(aside).chmod(target.stat().st_mode)
        Path(aside).replace(target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _find(ctx: Context, noun: str, params: dict[str, Any]) -> dict[str, Any]:
    found = ctx.find(KINDS[noun], params.get(f"{noun}_id", ""))
    if found is None:
        raise LocalDataError(f"There is no {noun} with this id.")
    return found


def _listed(ctx: Context, what: str, params: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What a ``list_…`` tool lists, and takes out of ``params`` what is no filter. None: there is no such tool."""
    match what:
        case "projects":
            return [item for item in ctx.entries(what) if item.get("status", "active") == "active"]
        case "all_projects":
            return ctx.entries("projects")
        case "tasks_due_today":
            return [item for item in ctx.entries("tasks") if ctx.local_date(item.get("due_date")) == ctx.today()]
        case "task_comments":
            return Context(data=_find(ctx, "task", {"task_id": params.pop("task_id", "")})).entries("comments")
        case _ if what in KINDS.values():
            return ctx.entries(what)
        case _ if isinstance(ctx.data.get(what), list):
            items = ctx.entries(what)
            for name in [name for name in params if not any(name in item for item in items)]:
                del params[name]  # of a tool that this client does not know: whatever it means, it names no field
            return items
        case _:
            return None


def _fits(ctx: Context, item: dict[str, Any], name: str, value: Any) -> bool:
    match name:
        case "due_by":
            due, last = ctx.local_date(item.get("due_date")), ctx.local_date(value)
            return due is not None and last is not None and due <= last
        case "containing":
            return any(str(value).casefold() in str(item.get(part, "")).casefold() for part in ("title", "content"))
        case _:
            return bool(item.get(name) == value)


Change = Callable[[list[dict[str, Any]], str, str, dict[str, Any]], bool]


def _create(items: list[dict[str, Any]], new_id: str, _: str, params: dict[str, Any]) -> bool:
    items.append({"id": new_id, **params})
    return True


def _update(items: list[dict[str, Any]], _: str, id_name: str, params: dict[str, Any]) -> bool:
    found = Context(data={"items": items}).find("items", params.get(id_name, ""))
    if found is None:
        return False
    found.update({name: value for name, value in params.items() if name != id_name})
    return True


def _delete(items: list[dict[str, Any]], _: str, id_name: str, params: dict[str, Any]) -> bool:
    found = Context(data={"items": items}).find("items", params.get(id_name, ""))
    if found is None:
        return False
    items[:] = [item for item in items if item is not found]
    return True


_CHANGES: dict[str, Change] = {"create": _create, "add": _create, "update": _update, "delete": _delete}
