"""The server as a process: its port, its silent connections, its log, its stop."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from adiuva.testing.serving import NotServingError, Served

Serve = Callable[..., Served]
PASSWORD = "canary-password-7261"
API = "/api/v1"


def test_a_port_in_use_is_told_in_one_line(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotServingError) as refused:
            serve(PORT=str(port))
    status, output = refused.value.args
    assert status != 0
    assert f"127.0.0.1:{port} is in use by another program" in output
    assert "Traceback" not in output


@pytest.mark.proof
def test_a_thousand_silent_connections_are_closed_within_5_seconds_and_stop_no_login(serve: Serve) -> None:
    """WS3."""
    served = serve()
    user = {"email": "ada@example.com", "password": PASSWORD}
    assert served.call("POST", "/auth/register", user)[0] == 201
    address = ("127.0.0.1", urlsplit(served.url).port)
    silent = [socket.create_connection(address, timeout=10) for _ in range(1000)]
    began = time.monotonic()
    silent[0].sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: slow")  # half a request is none
    assert served.call("POST", "/auth/login", user)[0] == 200
    for connection in silent:
        assert connection.recv(1000) == b""
        connection.close()
    assert time.monotonic() - began < 5


def test_sigterm_ends_the_server_with_0_and_a_word_to_its_sockets(serve: Serve) -> None:
    served = serve()
    _, tokens = served.call("POST", "/auth/register", {"email": "ada@example.com", "password": PASSWORD})

    async def watch() -> int | None:
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{served.url}{API}/chat/stream", headers=headers) as stream,
        ):
            served.process.send_signal(signal.SIGTERM)
            await stream.receive(timeout=10)
            return stream.close_code

    assert asyncio.run(watch()) == 1001
    assert served.process.wait(20) == 0


def test_no_log_at_debug_level_holds_a_secret_or_a_message(serve: Serve) -> None:
    """WS1, and promise 1 for the chat."""
    served = serve(LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    credentials = {"email": "canary-mail@example.com", "password": PASSWORD}
    secrets = [PASSWORD, "canary-mail", "canary-message", "canary-title", "canary-query", "canary-agent"]
    _, tokens = served.call("POST", "/auth/register", credentials)
    served.call("POST", "/auth/login", credentials)
    served.call("POST", "/auth/login", {**credentials, "password": PASSWORD + "x"})
    _, renewed = served.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    token = renewed["access_token"]
    body = {"message": "canary-message: add a task 'canary-title'", "context": {"tasks": [{"title": "canary-title"}]}}
    assert served.call("POST", "/chat", body, token=token)[1]["actions"]
    served.call("POST", "/chat", {"message": 5, "context": {"tasks": "canary-title"}}, token=token)
    served.call("GET", "/auth/me?canary-query=1", token=token)
    served.call("GET", "/canary-query", token=token)
    _, ticket = served.call("POST", "/auth/ticket", token=token)

    async def talk(query: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{served.url}{API}/chat/stream?{query}") as stream,
        ):
            await stream.send_str(orjson.dumps(body).decode())
            while (await stream.receive_json(timeout=10))["type"] != "done":
                pass
            await stream.send_str("canary-message")
            await stream.receive_json(timeout=10)

    asyncio.run(talk(f"ticket={ticket['ticket']}"))
    asyncio.run(talk(f"token={token}"))
    assert served.stop() == 0
    while not any('"stopped"' in line for line in served.lines):  # the reader of the pipe may be behind
        time.sleep(0.01)
    log = "".join(served.lines)
    secrets += [tokens["access_token"], tokens["refresh_token"], token, renewed["refresh_token"], ticket["ticket"]]
    assert [secret for secret in secrets if secret in log] == []
    requests = [orjson.loads(line) for line in log.splitlines() if line.startswith("{")]
    [chat, *_] = [line for line in requests if line.get("route") == f"{API}/chat"]
    assert {"request_id", "status", "ms", "user_id", "method"} <= chat.keys()


def test_nothing_heavy_is_imported_by_the_time_the_server_listens() -> None:
    heavy = ("litellm", "openai", "yoyo", "qdrant_client", "pinecone", "grpc", "numpy", "stripe", "mcp", "mcp_types")
    script = f"import sys, adiuva.serve, adiuva.cli; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
