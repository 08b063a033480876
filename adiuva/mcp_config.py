"""``MCP_SERVERS``: the servers whose tools agents may use, written as most clients of MCP write them."""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from attrs import field, frozen

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,23}")
_HOW: Final = (
    'must be a JSON object like {"wiki": {"url": "https://…/mcp", "headers": {…}},'
    ' "files": {"command": "…", "args": […]}}'
)
_TEXT: Final[tuple[type, str]] = (str, "a text")
_TEXTS: Final[tuple[type, str]] = (list, "a list of texts")
_NAMED_TEXTS: Final[tuple[type, str]] = (dict, "an object of texts")
_PARTS: Final = {
    "url": _TEXT,
    "headers": _NAMED_TEXTS,
    "command": _TEXT,
    "args": _TEXTS,
    "env": _NAMED_TEXTS,
    "agents": _TEXTS,
}


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@frozen(kw_only=True)
class McpServerConfig:
    """One server: at a ``url`` (streamable HTTP), or a ``command`` that is run here (stdio)."""

    name: str
    url: str = ""
    headers: dict[str, str] = field(factory=dict, repr=False)
    command: str = ""
    args: tuple[str, ...] = field(default=(), converter=_texts, repr=False)
    env: dict[str, str] = field(factory=dict, repr=False)
    # Whose tools these are; none: all of the operator's own agents have them.
    agents: tuple[str, ...] = field(default=(), converter=_texts)


def mcp_servers(value: str) -> tuple[McpServerConfig, ...]:
    """The servers that the text names. Raises `ValueError`, which repeats no value: headers hold secrets."""
    try:
        servers = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError(_HOW) from None
    if not isinstance(servers, dict) or not servers:
        raise ValueError(_HOW)
    return tuple(_server(name, entry) for name, entry in servers.items())


def _server(name: str, entry: Any) -> McpServerConfig:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} must be like 'wiki': lower-case letters, digits and underscores, 24 at most")
    if not isinstance(entry, dict) or ("url" in entry) == ("command" in entry):
        raise ValueError(f"{name}: must have a url or a command, and not both")
    for key, part in entry.items():
        if key not in _PARTS:
            raise ValueError(f"{name}: {key!r} is not known; there are {', '.join(_PARTS)}")
        kind, meaning = _PARTS[key]
        inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        if not isinstance(part, kind) or not part or not all(isinstance(text, str) for text in inside):
            raise ValueError(f"{name}.{key}: must be {meaning} that is not empty")
    if "url" in entry and (
        urlsplit(entry["url"]).scheme not in {"http", "https"} or not urlsplit(entry["url"]).hostname
    ):
        raise ValueError(f"{name}.url: must be a URL that starts with http:// or https://")
    return McpServerConfig(name=name, **entry)
