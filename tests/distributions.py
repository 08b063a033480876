"""Distributions of one module, found by Python as after ``pip install``."""

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adiuva.sdk import hookspecs

PipInstall = Callable[..., None]


def put_distribution(folder: Path, name: str, *, module: str, source: str, entries: str, version: str = "1.0") -> None:
    """Write it to ``folder``; ``entries`` are lines of the entry-point group: ``garden = adiuva_garden``."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    info.joinpath("entry_points.txt").write_text(f"[{hookspecs.PROJECT}]\n{entries}\n")


@pytest.fixture
def pip_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipInstall]:
    """`put_distribution` to where Python looks; what it imports from there is forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set()

    def install(name: str, *, module: str, source: str, entries: str, version: str = "1.0") -> None:
        put_distribution(tmp_path, name, module=module, source=source, entries=entries, version=version)
        modules.add(module)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def install_project(pip_install: PipInstall, pyproject: str, source: str) -> str:
    """Install what a guide's pyproject.toml describes, with that module; gives the name of its entry point."""
    project = tomllib.loads(pyproject)["project"]
    ((entry, module),) = project["entry-points"][hookspecs.PROJECT].items()
    pip_install(
        project["name"], module=module, source=source, entries=f"{entry} = {module}", version=project["version"]
    )
    return str(entry)
