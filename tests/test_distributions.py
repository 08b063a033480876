"""The distributions, as whoever installs them gets them."""

import ast
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from adiuva.testing.serving import Served

ROOT = Path(__file__).parent.parent
AGENTS = sorted(path.parent for path in ROOT.glob("agents/*/pyproject.toml"))


@pytest.mark.parametrize("module", sorted(ROOT.glob("agents/*/*.py")), ids=lambda module: module.stem)
def test_our_agents_come_in_by_the_public_door(module: Path) -> None:
    """import-linter cannot say this: it reads packages only, and each of these is one module."""
    for node in ast.walk(ast.parse(module.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert [name for name in names if name.startswith("adiuva") and name != "adiuva.sdk"] == []


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(sys.prefix)).stdout


def _build(sources: Path, wheels: Path) -> None:
    leave = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, sources, ignore=leave)  # setuptools writes beside what it builds
    folders = [sources, *(sources / agent.relative_to(ROOT) for agent in AGENTS)]
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels)]
    _run(sys.executable, "-m", "pip", "wheel", *options, *folders)


@pytest.mark.proof
def test_wheels_in_an_empty_venv_outside_the_checkout_serve(tmp_path: Path, serve: Callable[..., Served]) -> None:
    _build(tmp_path / "sources", tmp_path / "wheels")
    wheels = sorted((tmp_path / "wheels").iterdir())
    assert len(wheels) == 1 + len(AGENTS) == 5
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
    assert served.stop() == 0
