"""Walks through the tutorial, block by block: files are written, commands run in one shell, against a real server."""

import shlex
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, of_kind

# Nothing is fetched: what the package needs is here.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
SERVE = """
stop
%s &
SERVER=$!
until curl -sf $URL/api/v1/health/ready > health.txt; do kill -0 $SERVER; sleep 0.1; done
"""
STOP = 'stop() { if [ -n "$SERVER" ]; then kill $SERVER; wait $SERVER || true; SERVER=; fi; }'


def _environment(folder: Path) -> Path:
    """One with all that is installed here, room for more, and a pip; gives its ``bin``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    bin_ = folder / "bin"
    site = subprocess.check_output([bin_ / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    (Path(site.decode().strip()) / "lent.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n{ROOT}\n"
    )
    programs = {"pip": f"{sys.executable} -m pip --python {bin_}/python", "pytest": f"{bin_}/python -m pytest"}
    programs["adiuva"] = f"{bin_}/python -c 'from adiuva.cli import main; main()'"
    for name, command in programs.items():
        (bin_ / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin_ / name).chmod(0o755)
    return bin_


def _step(block: Block, written: set[str]) -> str:
    if block.kind == "sh":
        return SERVE % f"env {block.code.strip()}" if "adiuva serve" in block.code else block.code
    assert block.file, f"{block.place} does not say which file it is"
    append = ">>" if block.file in written else ">"
    written.add(block.file)
    return f"cat {append} {block.file} <<'END_OF_BLOCK'\n{block.code}END_OF_BLOCK\n"


def _port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_the_tutorial_leads_from_nothing_to_an_installed_plugin(database_url: str, tmp_path: Path) -> None:
    bin_, url = _environment(tmp_path / "venv"), f"http://127.0.0.1:{_port()}"
    blocks, written = [block for block in of_kind("sh", "python") if block.page == "tutorial.md"], set[str]()
    steps = [f"echo '=== {block.place}'\n{_step(block, written)}" for block in blocks]
    script = "\n".join(["set -euo pipefail", "SERVER=", STOP, "trap stop EXIT", f"URL={url}", *steps])
    environment = {
        **OFFLINE,
        "PATH": f"{bin_}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": url.rpartition(":")[2],
    }
    run = subprocess.run(
        ["bash", "-c", script.replace("http://127.0.0.1:8000", shlex.quote(url))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert "2 passed" in said
    assert '→ create_task {"title":"Rake the leaves"' in said
    assert '"status":"pending_review"' in said
    assert '→ create_task {"title":"Sow the lawn"' in said
