"""What the author's guide says is so. Its code blocks are run by tests/docs."""

import inspect
import re
from pathlib import Path

import pytest

from adiuva import sdk
from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import Permission, hookspecs
from tests.distributions import PipInstall, install_project

GUIDE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PYPROJECT = next(code for language, code in BLOCKS if language == "toml")
MODULE, *_ = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture
def garden(pip_install: PipInstall) -> str:
    """The guide's distribution, as it is after ``pip install``; gives the name of its entry point."""
    return install_project(pip_install, PYPROJECT, MODULE)


def test_the_distribution_of_the_guide_is_found_and_loaded(garden: str) -> None:
    registry = AgentRegistry.load()
    assert registry.failures == ()
    assert garden in {plugin.name for plugin in registry.plugins}
    agent = registry.get("garden_agent")
    assert agent is not None
    assert list(agent.tools()) == ["list_forecasts", "create_task", "update_task"]


def test_every_hook_is_in_the_guide_with_its_arguments() -> None:
    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("adiuva_")]
    assert hooks
    for hook in hooks:
        arguments = ", ".join(inspect.signature(hook).parameters)
        assert f"`{hook.__name__}({arguments})`" in GUIDE
        assert hook.__doc__
        assert "since 0." in hook.__doc__


def test_what_the_guide_says_of_the_sdk_is_there() -> None:
    for name in re.findall(r"`ctx\.(\w+)", GUIDE):
        assert hasattr(sdk.Context(), name)
    kinds = {permission.partition(":")[2] for permission in Permission}
    assert all(f"`{kind}`" in GUIDE for kind in kinds)


def test_everything_that_the_sdk_offers_has_a_docstring() -> None:
    for name in sdk.__all__:
        if name not in {"UNSET", "NonBlank", "hookimpl", "hookspec"}:
            assert vars(sdk)[name].__doc__, name
