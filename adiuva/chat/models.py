"""The chat's bodies, as CONTRACT.md's section Chat has them."""

from collections.abc import Callable
from typing import Any, Final, Literal

import attrs
from attrs import field, frozen

from adiuva.chat.context import client_now, parse_now, parse_zone
from adiuva.sdk.convert import MismatchError
from adiuva.web import wire
from adiuva.web.wire import Described, Length

MAX_CONTEXT_BYTES = 256 * 1024
LISTS = ("tasks", "projects", "checkpoints", "notes")


def _readable(_: object, attribute: "attrs.Attribute[Any]", value: dict[str, Any]) -> None:
    check_context(attribute.name, value)


def check_context(field: str, value: dict[str, Any]) -> None:
    """Refuse a context that is too large, or whose well-known parts are not what they have to be.

    Raises:
        MismatchError: it names ``field``, or a part of it.
    """
    try:
        size = len(wire.dump_free(value))
    except TypeError:
        raise MismatchError("is nested too deeply", field=field) from None
    if size > MAX_CONTEXT_BYTES:
        raise MismatchError(f"must be at most {MAX_CONTEXT_BYTES} bytes", field=field)
    for name in LISTS:
        items = value.get(name, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise MismatchError("must be a list of objects", field=f"{field}.{name}")
    _check_text(field, value, "now", parse_now)
    _check_text(field, value, "timezone", parse_zone)
    try:
        client_now(value)
    except OverflowError:
        raise MismatchError("is out of range", field=f"{field}.now") from None


CONTEXT_SCHEMA: Final = {
    "description": f"At most {MAX_CONTEXT_BYTES} bytes as JSON, nested {wire.MAX_DEPTH} deep.",
    "properties": {
        **{name: {"type": "array", "items": {"type": "object"}} for name in LISTS},
        "now": {"type": ["string", "null"], "description": "ISO 8601: the client's time."},
        "timezone": {"type": ["string", "null"], "description": "An IANA name."},
    },
}


def _check_text(field: str, context: dict[str, Any], name: str, parse: Callable[[str], object]) -> None:
    value = context.get(name)
    if value is None:
        return
    if not isinstance(value, str):
        raise MismatchError("must be a string", field=f"{field}.{name}")
    try:
        parse(value)
    except ValueError as error:
        raise MismatchError(str(error), field=f"{field}.{name}") from None


@frozen(kw_only=True)
class HistoryMessage:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str = field(repr=False, validator=Length(max=64_000))


@frozen(kw_only=True)
class ChatRequest:
    """What a client asks, with all the context that the agents may see for this one request."""

    message: str = field(repr=False, validator=Length(1, 16_000))
    mode: Literal["direct", "plan"] = "direct"
    agents: list[str] | None = field(default=None, validator=Length(1, 5))
    context: dict[str, Any] = field(factory=dict, repr=False, validator=Described(_readable, CONTEXT_SCHEMA))
    history: list[HistoryMessage] = field(factory=list, repr=False, validator=Length(max=50))
    model: str | None = None
    client_tools: bool = False  # WebSocket only: read tools go to the client


@frozen(kw_only=True)
class AgentView:
    """An agent, with the names of its tools; ``available``: the user's tier holds it."""

    name: str
    description: str
    tools: list[str]
    available: bool


@frozen(kw_only=True)
class Agents:
    """Every agent that the user has."""

    items: list[AgentView]


@frozen(kw_only=True)
class ModelView:
    """A model that clients may ask for; ``available``: in the user's tier."""

    id: str
    default: bool
    available: bool


@frozen(kw_only=True)
class Models:
    """Every model of this server."""

    items: list[ModelView]
