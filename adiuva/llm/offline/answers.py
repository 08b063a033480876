"""The sentences with which the offline stand-in answers."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from adiuva.llm.offline.text import stem
from adiuva.llm.protocol import ToolSpec

IDENTITY = (
    "I am Adiuva's offline stand-in, not a language model: I pick a tool by simple rules and fill it in from your "
    "words. Set LLM_MODEL, or a provider's key, to talk to a real model."
)
LABELS = ("title", "name", "subject", "label", "summary", "text", "content", "body", "description")
_SHOWN = 20
_OFFERED = re.compile(r"(?<=[:,] )(\S+) \((.+?)\)(?=[,.]|$)")
_NOTED = ("priority", "status", "state", "due_date", "due", "date", "deadline", "start", "start_date", "end_date")
_PAST = {"send": "sent", "write": "wrote", "set": "set", "make": "made", "get": "got", "find": "found", "run": "ran"}


def label(record: dict[str, Any]) -> str:
    """What people call a record: its title, or the beginning of its text."""
    for name in LABELS:
        value = record.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip().splitlines()[0].lstrip("# ")[:80]
    return str(record.get("id", "one without a name"))


def records_in(value: Any) -> list[dict[str, Any]] | None:
    """The records in a tool's result; None where it is no list of records."""
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list)]
        value = lists[0] if len(lists) == 1 else None
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    return None


def records_in_error(result: Any) -> list[dict[str, Any]]:
    """The records that a tool's error names, as ``id (label)``: what the id would have to be."""
    error = result.get("error") if isinstance(result, dict) else None
    return [{"id": found[1], "title": found[2]} for found in _OFFERED.finditer(error)] if isinstance(error, str) else []


def can_do(tools: Sequence[ToolSpec]) -> str:
    """What to say to a sentence that fits no tool."""
    names = [tool.name.replace("_", " ") for tool in tools]
    return f"{IDENTITY} Here I can: {', '.join(names)}." if names else IDENTITY


def not_found(noun: str, text: str, records: Iterable[dict[str, Any]]) -> str:
    """What to say when nothing, or nothing certain, has the name that the user gave."""
    kind = noun.replace("_", " ") or "entry"
    known = [f"'{label(record)}'" for record in records][:_SHOWN]
    there = f" I see {', '.join(known)}." if known else f" There is no {kind} at all."
    return (f"I found no {kind} called '{text}'." if text else f"Which {kind} do you mean?") + there


def done(tool: ToolSpec, result: Any, names: dict[str, str]) -> str:
    """What to say after a tool has run. ``names`` are the labels of the ids that are known."""
    if isinstance(result, dict) and isinstance(result.get("error"), str):
        return f"That did not work: {result['error']}"
    if isinstance(result, dict) and "action" in result and isinstance(result.get("params"), dict):
        return _acted(str(result["action"]), result["params"], names)
    records = records_in(result)
    if records is not None:
        return _listed(tool, records)
    if isinstance(result, dict):
        return _shown(result)
    words = tool.name.replace("_", " ")
    return f"Done: {words}." if result in (None, True, "") else f"Done: {words}. {result}"


def _acted(action: str, params: dict[str, Any], names: dict[str, str]) -> str:
    verb, *kind = action.split("_")
    called = next((str(params[name]) for name in LABELS[:6] if params.get(name)), "")
    own_id = next(
        (str(value) for name, value in params.items() if name == "id" or name == f"{kind and kind[-1]}_id"), ""
    )
    called = names.get(own_id) or called
    what = " ".join(["the", *kind] if kind else ["that"]) + (f" '{called}'" if called else "")
    noted = _notes({key: value for key, value in params.items() if value is not None})
    if verb == "delete":
        return f"I will delete {what} once you confirm it."
    return f"I have {_past(verb)} {what}{noted}."


def _past(verb: str) -> str:
    if verb in _PAST:
        return _PAST[verb]
    return verb + ("d" if verb.endswith("e") else "ed") if not re.search(r"[^aeiou]y$", verb) else verb[:-1] + "ied"


def _listed(tool: ToolSpec, records: list[dict[str, Any]]) -> str:
    words = tool.name.split("_")
    kind = next((word for word in words[1:] if word.endswith("s")), "entries")
    due = " due today" if {"due", "today"} <= set(words) else ""
    if not records:
        return f"There are no {kind}{due}."
    lines = [f"'{label(record)}'{_notes(record)}" for record in records[:_SHOWN]]
    more = f"; and {len(records) - _SHOWN} more" if len(records) > _SHOWN else ""
    number = f"are {len(records)} {kind}" if len(records) > 1 else f"is 1 {_singular(kind)}"
    return f"There {number}{due}: {'; '.join(lines)}{more}."


def _singular(kind: str) -> str:
    return kind[:-3] + "y" if kind.endswith("ies") else kind.removesuffix("s")


def _shown(record: dict[str, Any]) -> str:
    body = next((record[name] for name in ("content", "body", "text", "description") if record.get(name)), "")
    rest = f" {body}" if isinstance(body, str) and body and stem(body) != stem(label(record)) else ""
    return f"Here is '{label(record)}'{_notes(record)}.{rest}"


def _notes(record: dict[str, Any]) -> str:
    noted = []
    for name in _NOTED:
        value = record.get(name)
        if not isinstance(value, str) or not value:
            continue
        text = value.replace("_", " ")
        noted.append(f"{text} priority" if name == "priority" else f"due {text}" if name.startswith("due") else text)
    return f" ({', '.join(noted)})" if noted else ""
