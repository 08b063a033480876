"""``adiuva demo``: the main job from nothing. A server with all its embedded defaults, a user, three sentences."""

import os
import secrets
import tempfile
import time
from pathlib import Path

import click
from yarl import URL

from adiuva.client import Client
from adiuva.serve import start
from adiuva.settings import Settings
from adiuva.terminal import Conversation

EMAIL = "demo@example.com"
SENTENCES = (
    "Add a high priority task 'Call the bank' for tomorrow",
    "Mark 'Call the bank' as done",
    "Write a note titled 'Kickoff' saying 'We start on Monday at nine'",
)


async def demo() -> bool:
    """Run it and print it; everything it makes is in a folder that is gone afterwards. False where an answer failed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adiuva-demo-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - run by root, PostgreSQL takes another user and has to pass
        settings = Settings(
            data_dir=Path(folder),
            port=0,
            log_level="WARNING",
            llm_model="offline/rules",
            jwt_secret=secrets.token_hex(),
        )
        runner = await start(settings)
        try:
            host, port, *_ = runner.addresses[0]
            url = str(URL.build(scheme="http", host=host, port=port))
            click.echo(f"A server listens at {url} after {time.monotonic() - began:.1f} s; its data is in {folder}")
            return await _converse(url)
        finally:
            await runner.cleanup()
            click.echo(f"\nStopped after {time.monotonic() - began:.1f} s.")


async def _converse(url: str) -> bool:
    well = True
    async with Client(url) as client:
        await client.register(EMAIL, secrets.token_urlsafe())
        me = await client.me()
        models = await client.call("GET", "/models")
        click.echo(f"{me['email']} has registered, tier {me['tier']}; model {models['items'][0]['id']}")
        conversation = Conversation(client)
        for sentence in SENTENCES:
            click.secho(f"\n> {sentence}", bold=True)
            well = await conversation.ask(sentence) and well
    return well
