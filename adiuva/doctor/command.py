"""``adiuva doctor`` at the command line."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from adiuva.settings import Settings, SettingsError

if TYPE_CHECKING:
    from adiuva.doctor.checkup import Finding

CHECKS: Final = (
    "settings",
    "address",
    "database",
    "blobs",
    "vectors",
    "model",
    "plugins",
    "stripe",
    "limits",
    "mcp",
    "clock",
    "disk",
    "files",
)
_COLOURS: Final = {"ok": "green", "warning": "yellow", "fault": "red"}
_choose = partial(click.option, multiple=True, type=click.Choice(CHECKS), metavar="CHECK")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="What was found, as one JSON document.")
@_choose("--only", help=f"Make only this check; may be given several times. There are: {', '.join(CHECKS)}.")
@_choose("--skip", help="Leave this check out; may be given several times.")
def doctor(*, as_json: bool, only: tuple[str, ...], skip: tuple[str, ...]) -> None:
    """Check everything that this server needs, and say what to do about each fault.

    What is checked is really used: a blob and a vector are written, read and deleted, the model is called (which may
    cost a fraction of a cent), Stripe is asked for the account's balance. It can be run beside the running server. The
    exit status is 1 where there is a fault.
    """
    from adiuva.logs import configure_logging

    configure_logging(fmt="console", level="CRITICAL")  # what went wrong is told below, in other words
    wanted = [name for name in CHECKS if (not only or name in only) and name not in skip]
    show: Callable[[Finding], None] = _keep if as_json else _print
    found = asyncio.run(_examine(wanted, show))
    passed = all(finding.level != "fault" for finding in found)
    if as_json:
        import orjson

        document = {"passed": passed, "findings": [finding.as_json() for finding in found]}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        count = {level: sum(finding.level == level for finding in found) for level in _COLOURS}
        click.echo(f"\n{len(found)} checks: {count['fault']} faults, {count['warning']} warnings")
    sys.exit(0 if passed else 1)


async def _examine(wanted: list[str], show: "Callable[[Finding], None]") -> "list[Finding]":
    from adiuva.doctor import services, stores
    from adiuva.doctor.checkup import Checkup, Finding, mask_of

    try:
        settings = Settings.load()
        settings.with_secret()
    except SettingsError as error:
        remedy = "Correct the environment, or .env in this folder; the other checks need settings that are right."
        finding = Finding(check="settings", level="fault", message=error.message, remedy=remedy)
        show(finding)
        return [finding]
    made = {
        "address": services.address,
        "database": stores.database,
        "blobs": stores.blobs,
        "vectors": stores.vectors,
        "model": services.model,
        "plugins": services.plugins,
        "stripe": services.stripe,
        "limits": stores.limits,
        "mcp": services.mcp,
        "clock": stores.clock_skew,
        "disk": stores.disk,
        "files": services.files,
    }
    found = []
    if "settings" in wanted:
        found.append(Finding(check="settings", level="ok", message=f"All can be used. ENV={settings.env}."))
        show(found[0])
    checks = {name: partial(made[name], settings) for name in wanted if name in made}
    async for finding in Checkup(checks=checks, mask=mask_of(settings)).run():
        found.append(finding)
        show(finding)
    return found


def _print(finding: "Finding") -> None:
    first, *more = finding.message.splitlines() or [""]
    mark = click.style(f"{finding.level:8}", fg=_COLOURS[finding.level])
    click.echo(f"{mark} {finding.check:10} {first}")
    for line in more:
        click.echo(f"{'':20}{line}")
    if finding.remedy:
        click.echo(f"{'':20}-> {finding.remedy}")


def _keep(_: "Finding") -> None:
    """All are shown at the end."""
