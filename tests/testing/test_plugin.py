"""The pytest plugin, in a project that has Adiuva installed and may not even use it."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import adiuva.testing

PROBE = """
import sys


def test_nothing_is_loaded(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("adiuva")
    loaded = {name for name in sys.modules if name.startswith("adiuva.")}
    assert loaded == {"adiuva.testing", "adiuva.testing.plugin"}
    assert not {"aiohttp", "attrs", "cattrs", "structlog", "litellm"} & set(sys.modules)
"""


def test_it_loads_nothing_where_no_fixture_of_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    options = ["-q", "-p", "no:aiohttp", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, "-c", "/dev/null", f"--rootdir={tmp_path}", "test_probe.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_pytest_finds_it_by_its_entry_point() -> None:
    assert [entry.value for entry in entry_points(group="pytest11", name="adiuva")] == ["adiuva.testing.plugin"]


def test_each_public_name_is_there() -> None:
    for name in adiuva.testing.__all__:
        assert getattr(adiuva.testing, name)
    assert set(adiuva.testing._HOMES) == set(adiuva.testing.__all__)
