"""``adiuva new`` and ``adiuva plugin``."""

from pathlib import Path

import click

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
    """Write a package with an agent: NAME is like garden or time-tracker."""
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
