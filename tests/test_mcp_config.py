"""``MCP_SERVERS``."""

from typing import Any

import orjson
import pytest

from adiuva.mcp_config import McpServerConfig, mcp_servers
from adiuva.settings import Settings, SettingsError


def test_servers_are_written_as_other_clients_write_them() -> None:
    value = {
        "wiki": {"url": "https://wiki.example/mcp", "headers": {"Authorization": "Bearer t"}, "agents": ["note_agent"]},
        "files": {"command": "npx", "args": ["-y", "files"], "env": {"ROOT": "/srv"}},
    }
    assert mcp_servers(orjson.dumps(value).decode()) == (
        McpServerConfig(
            name="wiki",
            url="https://wiki.example/mcp",
            headers={"Authorization": "Bearer t"},
            agents=("note_agent",),
        ),
        McpServerConfig(name="files", command="npx", args=("-y", "files"), env={"ROOT": "/srv"}),
    )


@pytest.mark.parametrize(
    "value, fault",
    [
        ("https://wiki.example/mcp", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ({}, "must be a JSON object"),
        ({"My Wiki": {"url": "https://a"}}, "must be like 'wiki'"),
        ({"wiki": "https://a"}, "a url or a command"),
        ({"wiki": {}}, "a url or a command"),
        ({"wiki": {"url": "https://a", "command": "b"}}, "a url or a command"),
        ({"wiki": {"url": "ftp://a"}}, "must be a URL"),
        ({"wiki": {"url": 5}}, "wiki.url: must be a text"),
        ({"wiki": {"url": "https://a", "headers": []}}, "wiki.headers: must be an object of texts"),
        ({"wiki": {"url": "https://a", "headers": {"A": 5}}}, "wiki.headers: must be an object of texts"),
        ({"wiki": {"command": "a", "args": "b"}}, "wiki.args: must be a list of texts"),
        ({"wiki": {"command": ""}}, "wiki.command: must be a text that is not empty"),
        ({"wiki": {"url": "https://a", "wrong": "b"}}, "'wrong' is not known"),
    ],
)
def test_a_wrong_value_stops_the_start_and_shows_no_secret(value: Any, fault: str) -> None:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    with pytest.raises(SettingsError) as caught:
        Settings.load({"MCP_SERVERS": text}, dotenv=None)
    assert caught.value.message.startswith("MCP_SERVERS=***: ")
    assert fault in caught.value.message


def test_a_server_shows_no_secret_of_its_own() -> None:
    server = McpServerConfig(name="a", url="https://a", headers={"X": "s3cret"}, env={"Y": "s3cret"}, args=("s3cret",))
    assert "s3cret" not in repr(server)
    assert "s3cret" not in repr(Settings(mcp_servers=(server,)))
