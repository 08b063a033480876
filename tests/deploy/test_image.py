"""The Dockerfile: what it names is there, and its steps, taken without a container engine, give a server that runs."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import attrs
import pytest

from adiuva.settings import Settings
from adiuva.testing.serving import Served
from tests.deploy import dockerfile
from tests.deploy.conftest import BIN, ROOT, Prefork, free_port
from tests.deploy.dockerfile import Instruction

BUILDER, RUNTIME = 0, 1
STEPS = dockerfile.read(ROOT / "Dockerfile")
ENVIRONMENT = dockerfile.environment(STEPS, RUNTIME)
OF_SETTINGS = {field.name.upper() for field in attrs.fields(Settings)}


def only(name: str) -> Instruction:
    [found] = [step for step in STEPS if step.name == name and step.stage == RUNTIME]
    return found


def copied() -> Iterator[str]:
    """What COPY takes from the checkout."""
    for step in STEPS:
        if step.name == "COPY" and "--from=" not in step.text:
            yield from step.words()[:-1]


def test_what_is_copied_is_there_and_in_the_context() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in kept, source
    assert set(kept) == {source.split("/")[0] for source in copied()}


def test_all_of_the_server_is_in_the_context_and_nothing_that_is_made_of_it() -> None:
    for folder in ("adiuva", "migrations"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert len(files) > 5
        for path in files:
            assert in_context(path), path
    for absent in (".env", "compose.yml", "tests/conftest.py", "adiuva/__pycache__/x.pyc", "agents/note/build/x.py"):
        assert not in_context(ROOT / absent), absent


def test_nothing_that_is_secret_or_made_here_is_in_the_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    for name in (".env", ".git", ".venv", "tests"):
        assert not any(fnmatch(name, line[1:]) for line in lines if line.startswith("!"))


def test_the_server_runs_as_nobody_in_particular_and_starts_with_gunicorn() -> None:
    assert only("USER").text == "appuser"
    program, *arguments = only("CMD").words()
    assert (BIN / program).exists()
    assert arguments == ["--config", "python:adiuva.gunicorn_conf"]
    check = subprocess.run(
        [BIN / program, *arguments, "--check-config"],
        cwd="/",
        env={"JWT_SECRET": "x9" + os.urandom(32).hex()},
        check=False,
    )
    assert check.returncode == 0


def test_every_variable_is_a_setting() -> None:
    own = {"PATH", "PYTHONUNBUFFERED"}
    assert set(ENVIRONMENT) - own <= OF_SETTINGS
    settings = {name: value for name, value in ENVIRONMENT.items() if name in OF_SETTINGS}
    loaded = Settings.load({**settings, "JWT_SECRET": os.urandom(32).hex()}, dotenv=None)
    assert (loaded.env, loaded.host, loaded.port, loaded.web_concurrency) == ("prod", "0.0.0.0", 8000, 1)


def test_the_health_check_tells_a_server_that_answers_from_none(serve: type[Served]) -> None:
    words = json.loads(only("HEALTHCHECK").text.partition("CMD")[2])
    assert words[0] == "python"
    served = serve()  # type: ignore[call-arg]
    port = served.url.rpartition(":")[2]

    def status() -> int:
        return subprocess.run(
            [sys.executable, *words[1:]], env={"PORT": port}, capture_output=True, check=False
        ).returncode

    assert status() == 0
    served.stop()
    assert status() != 0


@pytest.mark.proof
@pytest.mark.timeout(400)  # it installs everything anew
def test_the_steps_of_the_image_give_a_server_that_runs_as_the_image_would(tmp_path: Path) -> None:
    """No container engine is needed: every path stands below a folder. The packages are fetched."""
    places = {"/opt/adiuva": tmp_path / "opt", "/src": tmp_path / "src"}
    workdir = places["/src"]
    workdir.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    environ |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for step in STEPS:
        if step.stage == BUILDER and step.name == "RUN":
            command = step.text.replace("/opt/adiuva", str(places["/opt/adiuva"]))
            subprocess.run(["sh", "-c", command], cwd=workdir, env=environ, check=True, capture_output=True)
        elif step.stage == BUILDER and step.name == "COPY":
            *sources, target = step.words()
            for source in sources:
                put(ROOT / source, workdir / target if target.endswith("/") is False else workdir / target / source)
    shutil.rmtree(workdir)  # the second stage takes the folder of packages only
    port = free_port()
    inside = {name: value for name, value in ENVIRONMENT.items() if name in OF_SETTINGS}
    inside |= {"DATA_DIR": str(tmp_path / "data"), "PORT": str(port), "HOST": "127.0.0.1", "HOME": str(tmp_path)}
    inside |= {"JWT_SECRET": os.urandom(32).hex(), "PATH": f"{places['/opt/adiuva'] / 'bin'}:{os.environ['PATH']}"}
    program, *arguments = only("CMD").words()
    process = subprocess.Popen(
        [places["/opt/adiuva"] / "bin" / program, *arguments],
        cwd=tmp_path,
        env=inside,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    Prefork(url=f"http://127.0.0.1:{port}", process=process).until_healthy()
    agents = subprocess.run(
        [places["/opt/adiuva"] / "bin" / "adiuva", "plugins"],
        cwd=tmp_path,
        env=inside,
        capture_output=True,
        text=True,
        check=True,
    )
    for plugin in ("github-sync", "slack-notifier", "time-tracker"):
        assert plugin in agents.stdout
    for kind in ("agent", "plugin"):  # their templates are files beside the code
        new = [str(places["/opt/adiuva"] / "bin" / "adiuva"), "new", kind, "garden", "--dir", str(tmp_path / kind)]
        subprocess.run(new, cwd=tmp_path, env=inside, check=True, capture_output=True)
        assert list((tmp_path / kind).rglob("test_*.py"))
    began = time.monotonic()
    process.terminate()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert time.monotonic() - began < 15


def in_context(path: Path) -> bool:
    return dockerfile.in_context(path.relative_to(ROOT).as_posix(), (ROOT / ".dockerignore").read_text())


def put(source: Path, target: Path) -> None:
    """As COPY would, without what .dockerignore keeps out."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=kept_out, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def kept_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not in_context(Path(folder) / name)}
