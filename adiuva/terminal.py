"""``adiuva chat``: talk to a server from a terminal."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import click
import orjson

from adiuva.client import Client, ServerError
from adiuva.errors import AdiuvaError
from adiuva.local_data import LocalData, read_object

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
HISTORY_KEPT = 50
HELP = "Ctrl-C stops an answer, Ctrl-D ends."


class Conversation:
    """One user's conversation: sends messages, prints the answers, and applies the actions to its own data."""

    def __init__(
        self,
        client: Client,
        *,
        data: LocalData | None = None,
        context: dict[str, Any] | None = None,
        agents: Sequence[str] = (),
        model: str | None = None,
    ) -> None:
        """``client`` is logged in; ``agents`` and ``model`` go with every message, ``context`` beside the data's."""
        self.data = data or LocalData()
        self._client = client
        self._context = context or {}
        self._agents = agents
        self._model = model
        self._history: list[dict[str, str]] = []
        self._in_line = False

    async def ask(self, message: str) -> bool:
        """Send ``message``, print what comes, and apply its actions. False where there was an error; it is printed."""
        actions: list[dict[str, Any]] = []
        try:
            self.data.load()
            well = await self._receive(message, actions)
        except ServerError as error:
            well = self._fail(error.server_code, error.message)
        except AdiuvaError as error:
            well = self._fail(error.code, error.message)
        try:
            for action in actions:
                click.echo(f"  {self._apply(action)}")
            if actions:
                self.data.save()
        except AdiuvaError as error:
            well = self._fail(error.code, error.message)
        return well

    async def _receive(self, message: str, actions: list[dict[str, Any]]) -> bool:
        frames = self._client.chat(
            message,
            context=self.data.context() | self._context,
            history=self._history[-HISTORY_KEPT:],
            agents=self._agents,
            model=self._model,
            tools=self.data.answer if self.data.file else None,
        )
        well = True
        async for frame in _with_spinner(frames):
            match frame["type"]:
                case "chunk":
                    click.echo(frame["text"], nl=False)
                    self._in_line = True
                case "action":
                    actions.append(frame["action"])
                case "tool_call":
                    self._line(f"  ⇢ {frame['action']} {orjson.dumps(frame['params']).decode()}")
                case "done":
                    self._line()
                    self._keep(message, frame["response"])
                case "cancelled":
                    self._line("  (cancelled)")
                case "error":
                    well = self._fail(frame["code"], frame["message"])
        return well

    def _line(self, text: str = "") -> None:
        if self._in_line:
            click.echo()
            self._in_line = False
        if text:
            click.echo(text)

    def _fail(self, code: str, message: str) -> bool:
        self._line()
        click.secho(f"  {code}: {message}", fg="red", err=True)
        return False

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
    data: Path | None,
    context: Path | None,
    messages: Sequence[str],
) -> bool:
    """Log in and hold a conversation: over ``messages``, or what is typed where there are none. False: one failed.

    ``data`` and ``context`` are files: the user's data, which stays here, and what goes with every message.

    Raises:
        AdiuvaError: a file cannot be read, or nobody can log in. What is wrong with one message is printed instead.
    """
    local = LocalData(file=data)
    local.load()
    beside = read_object(context) if context else {}
    client = Client(url)
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())
        try:
            runner.run(connect(client, email, password, register=register))
            conversation = Conversation(client, data=local, context=beside, agents=agents, model=model)
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
