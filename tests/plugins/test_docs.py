"""What the guide to plugins says is so. Its code blocks are run by tests/docs."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from adiuva.chat import loading, observers
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.web import outbound
from tests.distributions import PipInstall, install_project

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PYPROJECT = next(code for language, code in BLOCKS if language == "toml")
MODULE, *_ = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture
def weather(pip_install: PipInstall) -> str:
    """The guide's distribution, as it is after ``pip install``; gives the name of its entry point."""
    return install_project(pip_install, PYPROJECT, MODULE)


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


def test_the_settings_of_the_guide_are_json_by_plugin() -> None:
    (code,) = [code for language, code in BLOCKS if language == "json"]
    assert set(json.loads(code)["plugins"]["weather"]) == set(re.findall(r'settings(?:\.get\(|\[)"(\w+)"', MODULE))


def test_the_figures_of_the_guide_are_those_of_the_server() -> None:
    text = " ".join(GUIDE.split())
    assert f"gives a request {outbound.TOTAL_SECONDS:g} seconds" in text
    assert f"It has {observers.OBSERVE_SECONDS:g} seconds" in text
    assert f"Up to {observers.WAITING} actions of a user wait" in text
    hooks = " ".join((Path(__file__).parents[2] / "docs" / "hooks.md").read_text().split())
    assert f"`PLUGIN_LOAD_SECONDS` ({loading.LOAD_SECONDS:g})" in hooks
    assert Settings().plugin_load_seconds == loading.LOAD_SECONDS
