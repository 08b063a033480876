"""What a tool gets to know about the request that it works for."""

from datetime import date, datetime
from typing import Any, Final

import structlog
from attrs import field, frozen

from adiuva import clock
from adiuva.sdk.errors import ToolError
from adiuva.sdk.unset import Unset

_LISTED: Final = 30  # how many ids a refusal tells the model


@frozen(kw_only=True)
class Context:
    """One request, as a tool sees it. Everything in it comes from this request and is forgotten after it.

    What the client sends is its own affair: entries of ``data`` may lack fields or have odd types, so read them with
    `entries` and `find`, and with ``.get``. All fields have defaults, so that a test gives only what it is about:
    ``Context(data={"tasks": [...]})``.
    """

    user_id: str = ""
    tier: str = "free"
    data: dict[str, Any] = field(factory=dict, repr=False)
    """The request's ``context``: what the client lets agents see (``tasks``, ``projects``, ``notes``, …)."""
    history: list[dict[str, str]] = field(factory=list, repr=False)
    """The conversation so far: ``{"role": "user" | "assistant", "content": …}``, oldest first."""
    previous_results: list[Any] = field(factory=list, repr=False)
    """In a pipeline: what the agents before this one have answered and done."""
    shared_memory: dict[str, Any] = field(factory=dict, repr=False)
    """Shared by the agents of one plugin in one pipeline run, and gone after it. Yours to write to."""
    vector_store_context: list[Any] = field(factory=list, repr=False)
    """What the client found in its own vectors for this message."""
    now: datetime = field(factory=clock.now)
    """The time of the request, in the client's time zone."""
    settings: dict[str, Any] = field(factory=dict, repr=False)
    """This plugin's settings, as the client sent them with this request."""
    http: Any = field(default=None, repr=False)
    """An ``aiohttp.ClientSession`` to call other services with; None in tests that give none."""
    log: Any = field(factory=lambda: structlog.get_logger("adiuva.agents"), repr=False)
    """A structlog logger. Never log what the user wrote or what ``data`` holds."""
    _by_id: dict[str, tuple[list[Any], int, dict[str, dict[str, Any]]]] = field(
        factory=dict, init=False, repr=False, eq=False
    )  # by kind: the list, how long it was, and its entries

    def today(self) -> date:
        """The date today where the client is."""
        return self.now.date()

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The objects that the client listed under ``kind`` (``"tasks"``); whatever else stands there is skipped."""
        listed = self.data.get(kind)
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    def find(self, kind: str, entry_id: str) -> dict[str, Any] | None:
        """The object of that id among the `entries` of ``kind``; None if it is not there.

        Quick also when it is called for each of many entries: the ids of a list are gathered once.
        """
        listed = self.data.get(kind)
        if not isinstance(listed, list):
            return None
        known = self._by_id.get(kind)
        if known is None or known[0] is not listed or known[1] != len(listed):
            known = self._by_id[kind] = (listed, len(listed), _by_id(self.entries(kind)))
        return known[2].get(entry_id)

    def require(self, kind: str, entry_id: str | Unset | None) -> None:
        """Refuse an id that the client does not know. Call this in every tool that changes something by its id.

        A client that lists a kind lists all of it that matters, so an id that is not in the list was made up. Where the
        client lists nothing of that kind, any id passes; and so does none at all (`UNSET`, None).

        Raises:
            ToolError: ``data`` lists that kind, and not that id; the message tells the model which ids there are.
        """
        if not isinstance(entry_id, str) or not isinstance(self.data.get(kind), list):
            return
        if self.find(kind, entry_id) is None:
            raise ToolError(f"None of the user's {kind} has this id. {_ids(self.entries(kind))}")

    def local_date(self, value: object) -> date | None:
        """The date that ISO 8601 text means where the client is; None if ``value`` is no such text.

        A time with an offset (``2025-11-23T23:30:00Z``) is moved to the client's time zone first.
        """
        if not isinstance(value, str):
            return None
        try:
            moment = datetime.fromisoformat(value)
            return (moment.astimezone(self.now.tzinfo) if moment.tzinfo else moment).date()
        except (ValueError, OverflowError):
            return None


def _ids(entries: list[dict[str, Any]]) -> str:
    known = [entry for entry in entries if "id" in entry]
    if not known:
        return "There are none."
    listed = [f"{entry['id']} ({_label(entry)})" for entry in known[:_LISTED]]
    more = f", and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"Their ids: {', '.join(listed)}{more}."


def _label(entry: dict[str, Any]) -> str:
    return str(entry.get("title") or entry.get("name") or "no title")[:80]


def _by_id(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The first entry of each id; some clients number their entries."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        known = entry.get("id")
        if isinstance(known, str) or (isinstance(known, int) and not isinstance(known, bool)):
            found.setdefault(str(known), entry)
    return found
