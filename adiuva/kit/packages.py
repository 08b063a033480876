"""Opens a package that is to be checked: a folder with a pyproject.toml, or a wheel. None of its code is run."""

import re
import shutil
import tomllib
import zipfile
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from adiuva.kit.errors import KitError
from adiuva.marketplace.packages.archives import inspect
from adiuva.marketplace.packages.refusal import RefusedError
from adiuva.sdk.hookspecs import PROJECT

MAX_BYTES: Final = 64 * 2**20
MAX_FILES: Final = 5_000
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.!+_-]{0,98}[A-Za-z0-9])?")
_LEFT_OUT: Final = (".*", "__pycache__", "build", "dist", "node_modules", "venv", "*.egg-info")


@frozen(kw_only=True)
class Package:
    """A copy of a package in a folder of the check's own."""

    name: str
    version: str
    entries: Mapping[str, str]  # the entry points of the group "adiuva": their names and modules
    code: Path
    path: tuple[Path, ...] = field(factory=tuple)  # what goes on sys.path; the first has its dist-info


def open_package(source: Path, into: Path) -> Package:
    """Copy or unpack ``source`` into ``into``.

    Raises:
        KitError: it is no package, is too large, or has names in it that lead elsewhere.
    """
    if source.is_dir():
        return _open_folder(source, into)
    if source.suffix in {".whl", ".zip"} and source.is_file():
        unpacked = into / "unpacked"
        _unpack(source, unpacked)
        return _open_wheel(source, unpacked) if source.suffix == ".whl" else _open_folder(_project_in(unpacked), into)
    raise KitError(f"{source} is neither a folder with a pyproject.toml nor a wheel (.whl) or a zip file of one.")


def _project_in(unpacked: Path) -> Path:
    """Where the pyproject.toml is: some tools pack a folder, and some what is in it."""
    inside = list(unpacked.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked


def _open_folder(source: Path, into: Path) -> Package:
    project = _project(source)
    code, info = into / "code", into / "info"
    _require_small(source)
    shutil.copytree(source, code, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    for link in [path for path in code.rglob("*") if path.is_symlink()]:
        link.unlink()
    entries = project.get("entry-points", {}).get(PROJECT, {})
    name, version = str(project.get("name", "")), str(project.get("version", "0"))
    _require_plain(name, version)
    folder = info / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    listed = "\n".join(f"{entry} = {module}" for entry, module in entries.items())
    (folder / "entry_points.txt").write_text(f"[{PROJECT}]\n{listed}\n", encoding="utf-8")
    roots = [code / "src"] if (code / "src").is_dir() else []
    return Package(name=name, version=version, entries=entries, code=code, path=(info, *roots, code))


def _require_plain(name: str, version: str) -> None:
    """A name becomes that of a folder, and a line of its metadata (the forms of PEP 508 and, roughly, PEP 440)."""
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise KitError("The name or the version in pyproject.toml is none that a package can have.")


def _project(source: Path) -> dict[str, Any]:
    file = source / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project")
    except FileNotFoundError:
        raise KitError(f"There is no pyproject.toml in {source}.") from None
    except (OSError, ValueError) as error:
        raise KitError(f"{file} cannot be read: {error}.") from None
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        raise KitError(f"{file} has no [project] with a name. Build a wheel and check that.")
    entries = project.get("entry-points", {})
    group = entries.get(PROJECT, {}) if isinstance(entries, dict) else None
    if not isinstance(group, dict) or not all(isinstance(module, str) for module in group.values()):
        raise KitError(f"{file}: [project.entry-points.{PROJECT}] has to name modules.")
    return project


def _require_small(source: Path) -> None:
    size = count = 0
    for path in source.rglob("*"):
        if (
            path.is_symlink()
            or not path.is_file()
            or any(part.startswith(".") for part in path.relative_to(source).parts)
        ):
            continue
        size, count = size + path.stat().st_size, count + 1
        if size > MAX_BYTES or count > MAX_FILES:
            raise KitError(f"{source} is larger than {MAX_BYTES // 2**20} MiB or {MAX_FILES} files.")


def _open_wheel(source: Path, code: Path) -> Package:
    found = sorted(code.glob("*.dist-info"))
    if len(found) != 1 or not (found[0] / "METADATA").is_file():
        raise KitError(f"{source} has no dist-info folder, or several.")
    with (found[0] / "METADATA").open("rb") as file:
        metadata = BytesHeaderParser().parse(file)
    points = PathDistribution(found[0]).entry_points.select(group=PROJECT)
    return Package(
        name=str(metadata["Name"]),
        version=str(metadata["Version"]),
        entries={point.name: point.value for point in points},
        code=code,
        path=(code,),
    )


def _unpack(source: Path, into: Path) -> None:
    """Unpack an archive that the marketplace would take."""
    try:
        data = source.read_bytes()
        inspect(data)
        into.mkdir()
        with zipfile.ZipFile(source) as archive:
            archive.extractall(into)
    except RefusedError as error:
        raise KitError(f"{source} {error.errors[0][1]}.") from None
    except OSError as error:
        raise KitError(f"{source} cannot be unpacked: {error.strerror}.") from None
