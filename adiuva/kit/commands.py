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


@plugin.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=60,
    show_default=True,
    help="What running the package's code may take.",
)
def check(path: Path, *, as_json: bool, seconds: float) -> None:
    """Check a package as a reviewer does: PATH is its folder or a wheel. This runs its code.

    The code runs in a process of its own that has limits, but no jail. The exit status is 1 where there is an error.
    """
    import orjson

    from adiuva.kit.check import check_package

    report = check_package(path, seconds=seconds)
    if as_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(report.lines()))
    if not report.passed:
        raise click.exceptions.Exit(1)
