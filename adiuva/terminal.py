"""``adiuva chat``: talk to a server from a terminal."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import click
import orjson

from adiuva.client import Client, ServerError
from adiuva.local_data import LocalData

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
HISTORY_KEPT = 50
HELP = "Ctrl-C stops an answer, Ctrl-D ends."


class Conversation:
    """One user's conversation: sends messages, prints the answers, and applies the actions to its own data."""

    def __init__(self, client: Client, *, agents: Sequence[str] = (), model: str | None = None) -> None:
        """``client`` is logged in; ``agents`` and ``model`` go with every message."""
        self.data = LocalData()
        self._client = client
        self._agents = agents
        self._model = model
        self._history: list[dict[str, str]] = []

    async def ask(self, message: str) -> bool:
        """Send ``message`` and print what comes; False where the server answered with an error."""
        frames = self._client.chat(
            message,
            context=self.data.context(),
            history=self._history[-HISTORY_KEPT:],
            agents=self._agents,
            model=self._model,
        )
        actions = []
        last: dict[str, object] = {}
        async for frame in _with_spinner(frames):
            match frame["type"]:
                case "chunk":
                    click.echo(frame["text"], nl=False)
                case "action":
                    actions.append(frame["action"])
                case _:
                    last = frame
        if last["type"] == "done":
            click.echo()
            self._keep(message, str(last["response"]))
        for action in actions:
            click.echo(f"  {self._apply(action)}")
        if last["type"] == "cancelled":
            click.echo("  (cancelled)")
        if last["type"] == "error":
            click.secho(f"  {last['code']}: {last['message']}", fg="red", err=True)
        return last["type"] != "error"

    def _keep(self, message: str, response: str) -> None:
        self._history += [{"role": "user", "content": message}, {"role": "assistant", "content": response}]

    def _apply(self, action: dict[str, object]) -> str:
        applied = self.data.apply(action)
        name = click.style(str(action["action"]), fg="green" if applied else "yellow")
        note = "" if applied else "  (not applied)"
        return f"→ {name} {orjson.dumps(action['params']).decode()}{note}"


async def _with_spinner(frames: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Pass the frames on; while none comes, and a person is watching, say that something is going on."""
    async with _spinner() as spinner:
        async for frame in frames:
            spinner.cancel()
            with suppress(asyncio.CancelledError):
                await spinner
            yield frame


@asynccontextmanager
async def _spinner() -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(_spin())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _spin() -> None:
    if not sys.stderr.isatty():
        return
    try:
        for tick, sign in enumerate(itertools.cycle(SPINNER)):
            click.echo(f"\r{sign} thinking {tick // 10} s", nl=False, err=True)
            await asyncio.sleep(0.1)
    finally:
        click.echo("\r\033[K", nl=False, err=True)


async def connect(client: Client, email: str, password: str, *, register: bool) -> None:
    """Log in; with ``register`` make the account first where there is none."""
    if register:
        try:
            return await client.register(email, password)
        except ServerError as error:
            if error.server_code != "email_taken":
                raise
    return await client.login(email, password)


def talk(
    *,
    url: str,
    email: str,
    password: str,
    register: bool,
    agents: Sequence[str],
    model: str | None,
    messages: Sequence[str],
) -> bool:
    """Log in and hold a conversation: over ``messages``, or what is typed where there are none. False: one failed."""
    client = Client(url)
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        try:
            runner.run(connect(client, email, password, register=register))
            conversation = Conversation(client, agents=agents, model=model)
            well = True
            for message in messages or _typed():
                well = _ask(runner, conversation, message) and well
            return well
        finally:
            runner.run(client.__aexit__(None, None, None))


def _ask(runner: asyncio.Runner, conversation: Conversation, message: str) -> bool:
    try:
        return runner.run(conversation.ask(message))
    except KeyboardInterrupt:  # closing the socket has stopped the work at the server
        click.echo("\n  (stopped)")
        return True


def _typed() -> Iterator[str]:
    if sys.stdin.isatty():
        click.echo(HELP)
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            return
        if line.strip():
            yield line
