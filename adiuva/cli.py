"""The command line. Each command imports what it needs, so that ``adiuva --help`` answers at once."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from adiuva import __version__
from adiuva.errors import AdiuvaError, BlobStoreUnavailableError
from adiuva.settings import Settings


class Commands(click.Group):
    """Shows our own errors as lines, without a trace."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AdiuvaError as error:
            raise click.ClickException(error.message) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="adiuva")
def main() -> None:
    """Adiuva, the server behind an AI project-management app.

    Settings come from the environment and from .env in the current folder.
    """


@main.command()
def serve() -> None:
    """Serve the API until SIGTERM or Ctrl-C."""
    from adiuva.logs import configure_logging
    from adiuva.serve import run

    settings = Settings.load().with_secret()
    configure_logging(fmt=settings.log_lines, level=settings.log_level)
    run(settings)


@main.command()
@click.option("--bucket", is_flag=True, help="Make the bucket of S3_BUCKET, too, where it is missing.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for a database, and a store for the bucket, that are not there yet.",
)
def migrate(*, bucket: bool, wait: float) -> None:
    """Bring the database's schema up to date."""
    from adiuva.blobs.build import make_bucket
    from adiuva.database import DatabaseUnreachableError
    from adiuva.migrate import migrate as apply
    from adiuva.migrate import patiently

    settings = Settings.load()
    applied = patiently(lambda: apply(settings), DatabaseUnreachableError, seconds=wait)
    click.echo("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")
    if bucket:
        patiently(lambda: asyncio.run(make_bucket(settings)), BlobStoreUnavailableError, seconds=wait)
        click.echo(f"The bucket {settings.s3_bucket} is there.")


@main.command()
def agents() -> None:
    """List the installed agents and their tools, and the plugins that could not be loaded."""
    from adiuva.chat.registry import AgentRegistry

    settings = Settings.load()
    registry = AgentRegistry.load(set(settings.blocked_plugins), seconds=settings.plugin_load_seconds)
    for agent in registry.list_agents():
        click.secho(agent.name, bold=True)
        click.echo(f"  {agent.description}\n  tools: {', '.join(agent.tools())}")
    for failure in registry.failures:
        click.secho(f"{failure.name} {failure.version}: not loaded: {failure.error}", fg="red", err=True)
    if not registry.list_agents():
        click.echo("No agent is installed.", err=True)


@main.command()
def plugins() -> None:
    """List the plugins: what each of them brings and may do, which were kept out, and which could not be loaded."""
    from adiuva.chat.registry import AgentRegistry

    settings = Settings.load()
    registry = AgentRegistry.load(set(settings.blocked_plugins), seconds=settings.plugin_load_seconds)
    for plugin in registry.plugins:
        click.secho(f"{plugin.name} {plugin.version}", bold=True)
        for name, items in plugin.contents().items():
            click.echo(f"  {name}: {', '.join(items)}")
    for name in registry.blocked:
        click.echo(f"{name}: kept out by BLOCKED_PLUGINS")
    for failure in registry.failures:
        click.secho(f"{failure.name} {failure.version}: not loaded: {failure.error}", fg="red", err=True)


@main.command()
@click.argument("messages", nargs=-1, metavar="[MESSAGE]...")
@click.option("--url", default="http://127.0.0.1:8000", envvar="ADIUVA_URL", show_default=True, help="The server.")
@click.option("--email", prompt="E-mail", envvar="ADIUVA_EMAIL", help="The account to log in to.")
@click.option("--password", prompt=True, hide_input=True, envvar="ADIUVA_PASSWORD", help="Asked for where not given.")
@click.option("--register", is_flag=True, help="Make the account first, where there is none.")
@click.option(
    "--agent",
    "agents",
    multiple=True,
    help="Ask this agent, instead of letting the server choose. Given several times: one after another, as a pipeline.",
)
@click.option("--model", help="Ask this model instead of the server's default.")
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your tasks, projects, notes and checkpoints, as a JSON object of lists. The agents' read tools run here, on"
    " this file, and actions change it; it is made where there is none. Without it all is forgotten at the end.",
)
@click.option(
    "--context",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON object that goes with every message, for tools that read something else of the context.",
)
def chat(**options: Any) -> None:
    """Talk to a server: send each MESSAGE, or what you type; answers are streamed, actions shown and applied.

    What is wrong with one message is told, and the next one sent; the exit status is then 1.
    """
    from adiuva.terminal import talk

    sys.exit(0 if talk(**options) else 1)


@main.command()
@click.option("--stripe", is_flag=True, help="Money instead: tiers, a paid plugin, its author's share, a refund.")
def demo(*, stripe: bool) -> None:
    """Run the main job from nothing: a server of its own, a new user, three sentences, their actions.

    With --stripe it is the whole way of the money, at a double of Stripe: without an account, and nothing is paid.
    """
    from adiuva.logs import configure_logging

    if stripe:
        from adiuva.demo_stripe import demo as run
    else:
        from adiuva.demo import demo as run

    configure_logging(fmt="console", level="WARNING")
    sys.exit(0 if asyncio.run(run()) else 1)


def _mount() -> None:
    from adiuva.audit.admin import audit
    from adiuva.auth.admin import admin
    from adiuva.billing.admin import billing, events
    from adiuva.doctor.command import doctor
    from adiuva.kit.commands import check_submitted, new, plugin
    from adiuva.marketplace.review.admin import plugins
    from adiuva.storage.admin import reconcile, verify

    plugins.add_command(check_submitted)
    for command in (audit, billing, events, plugins, reconcile, verify):
        admin.add_command(command)
    for command in (admin, doctor, new, plugin):
        main.add_command(command)


_mount()
