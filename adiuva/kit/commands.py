"""``adiuva new`` and ``adiuva plugin``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from adiuva.kit.report import Report

_FOLDER = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="Where to write it; without this, a folder of its name where you are.",
)


@click.group()
def new() -> None:
    """Begin a package of your own: it installs and passes its tests and checks as it stands."""


@new.command()
@click.argument("name")
@_FOLDER
def agent(name: str, folder: Path | None) -> None:
    """Write a package with an agent: NAME is like garden or weather-diary."""
    from adiuva.kit.scaffold import write_package

    _tell(write_package("agent", name, folder))


@new.command("plugin")
@click.argument("name")
@_FOLDER
def new_plugin(name: str, folder: Path | None) -> None:
    """Write a package with a marketplace plugin: a manifest and an agent that keeps to it."""
    from adiuva.kit.scaffold import write_package

    _tell(write_package("plugin", name, folder))


def _tell(target: Path) -> None:
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        click.echo(f"  {file.relative_to(target)}")
    click.echo(f"This is {target}. To see it work: pip install -e '{target}[dev]' && cd {target} && pytest")


@click.group()
def plugin() -> None:
    """Work on a package with an agent or a plugin."""


_SECONDS = click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=60,
    show_default=True,
    help="What running the package's code may take.",
)


@plugin.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@_SECONDS
def check(path: Path, *, as_json: bool, seconds: float) -> None:
    """Check a package as a reviewer does: PATH is its folder, a wheel or a zip file. This runs its code.

    The code runs in a process of its own that has limits, but no jail. The exit status is 1 where there is an error.
    """
    from adiuva.kit.check import check_package

    _show(check_package(path, seconds=seconds), as_json=as_json)


@click.command("check")
@click.argument("plugin_id", metavar="ID")
@_SECONDS
def check_submitted(plugin_id: str, seconds: float) -> None:
    """Check the last package of the plugin ID; the review queue then shows the report. This runs its code.

    The code runs in a process of its own that has limits, but no jail. The exit status is 1 where there is an error.
    """
    from adiuva.kit.review import check_submitted as run
    from adiuva.settings import Settings

    _show(run(plugin_id, Settings.load(), seconds=seconds), as_json=False)


def _show(report: "Report", *, as_json: bool) -> None:
    import orjson

    if as_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(report.lines()))
    if not report.passed:
        raise click.exceptions.Exit(1)
