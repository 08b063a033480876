"""Runs every code block of the guide to plugins, as an author would: as a distribution, and in its order."""

import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from adiuva.chat import loading, observers
from adiuva.chat.registry import AgentRegistry
from adiuva.cli import main
from adiuva.sdk import hookspecs
from adiuva.settings import Settings
from adiuva.web import outbound

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PYPROJECT = next(code for language, code in BLOCKS if language == "toml")
MODULE, *FRAGMENTS = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture
def weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The guide's distribution, as it is after ``pip install``; gives the name of its entry point."""
    project = tomllib.loads(PYPROJECT)["project"]
    ((entry, module),) = project["entry-points"][hookspecs.PROJECT].items()
    (tmp_path / f"{module}.py").write_text(MODULE)
    info = tmp_path / "adiuva_weather-1.0.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    info.joinpath("entry_points.txt").write_text(f"[{hookspecs.PROJECT}]\n{entry} = {module}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield entry
    sys.modules.pop(module, None)


def test_the_guide_has_no_block_that_no_test_runs() -> None:
    assert {language for language, _ in BLOCKS} == {"toml", "python", "sh", "json"}


def test_the_distribution_of_the_guide_is_found_and_loaded(weather: str) -> None:
    registry = AgentRegistry.load()
    assert registry.failures == ()
    plugin = next(plugin for plugin in registry.plugins if plugin.name == weather)
    assert plugin.contents() == {
        "marketplace plugin": ["weather"],
        "permissions": ["read:tasks", "write:tasks"],
        "agents": ["weather_agent"],
        "observers": ["weather_diary"],
    }
    assert plugin.manifest is not None
    assert plugin.manifest.version == tomllib.loads(PYPROJECT)["project"]["version"]


@pytest.mark.parametrize("code", FRAGMENTS, ids=[f"block_{number}" for number in range(len(FRAGMENTS))])
async def test_the_block_runs(weather: str, code: str) -> None:
    module = ModuleType("block")
    exec(compile(code, "docs/plugins.md", "exec"), vars(module))
    for name, function in vars(module).items():
        if name.startswith("test_"):
            for arguments in _cases(function):
                if inspect.isawaitable(result := function(**arguments)):
                    await result


def _cases(function: Any) -> list[dict[str, Any]]:
    """The arguments of each case of a test, as ``pytest.mark.parametrize`` gives them."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        return [{}]
    ((names, cases),) = [mark.args for mark in marks]
    return [dict(zip(names.split(", "), case, strict=True)) for case in cases]


def test_the_settings_of_the_guide_are_json_by_plugin() -> None:
    (code,) = [code for language, code in BLOCKS if language == "json"]
    assert set(json.loads(code)["plugins"]["weather"]) == set(re.findall(r'settings(?:\.get\(|\[)"(\w+)"', MODULE))


def test_the_commands_of_the_guide_are_there_with_their_variables() -> None:
    for line in (line for language, code in BLOCKS if language == "sh" for line in code.splitlines()):
        variables, _, arguments = line.partition("adiuva ")
        command, *options = arguments.split()
        known = {option for parameter in main.commands[command].params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known
        Settings.load(dict(variable.split("=") for variable in variables.split()), dotenv=None)


def test_the_figures_of_the_guide_are_those_of_the_server() -> None:
    text = " ".join(GUIDE.split())
    assert f"gives a request {outbound.TOTAL_SECONDS:g} seconds" in text
    assert f"It has {observers.OBSERVE_SECONDS:g} seconds" in text
    assert f"Up to {observers.WAITING} actions of a user wait" in text
    hooks = " ".join((Path(__file__).parents[2] / "docs" / "hooks.md").read_text().split())
    assert f"`PLUGIN_LOAD_SECONDS` ({loading.LOAD_SECONDS:g})" in hooks
    assert Settings().plugin_load_seconds == loading.LOAD_SECONDS
