"""Hooks are few, typed, documented as they are, and tested."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import ActionObserver, Agent, PluginManifest, PromptTemplate, hookspecs
from tests.distributions import PipInstall

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
HOOKS = {name: value for name, value in vars(hookspecs).items() if name.startswith("adiuva_")}
ROWS = ("fires", "arguments", "several implementations", "since")


def signature(hook: Callable[..., Any]) -> str:
    """``adiuva_agents() -> list[Agent]``."""
    return hook.__name__ + re.sub(r"(?:\w+\.)+(\w+)", r"\1", str(inspect.signature(hook)))


def faults(hooks: dict[str, Callable[..., Any]], page: str) -> list[str]:
    """What is wrong with the page about hooks."""
    found = []
    sections = dict(re.findall(r"^## `(.+?)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    wanted = {signature(hook): hook for hook in hooks.values()}
    found += [f"{title} is not documented, or not as it is" for title in wanted.keys() - sections.keys()]
    found += [f"{title} is documented, and is no hook" for title in sections.keys() - wanted.keys()]
    for title in wanted.keys() & sections.keys():
        said = set(re.findall(r"^\| ([a-z ]+) \| [^|\s][^|]* \|$", sections[title], re.MULTILINE))
        found += [f"{title} does not say: {row}" for row in ROWS if row not in said]
        since = re.search(r"^\| since \| (\S+) \|$", sections[title], re.MULTILINE)
        if since is None or f"since {since[1]}." not in inspect.getdoc(wanted[title]):  # type: ignore[operator]
            found.append(f"{title}: the page and the docstring differ in since when")
    return found


def test_there_are_fewer_than_ten_and_each_is_typed() -> None:
    assert 0 < len(HOOKS) < 10
    for hook in HOOKS.values():
        assert hook.adiuva_spec["firstresult"] is False
        assert not inspect.iscoroutinefunction(hook)
        described = inspect.signature(hook)
        assert described.return_annotation is not inspect.Signature.empty
        assert all(each.annotation is not each.empty for each in described.parameters.values())


def test_each_docstring_says_when_it_fires_what_it_takes_what_of_several_and_since_when() -> None:
    for hook in HOOKS.values():
        text = inspect.getdoc(hook) or ""
        assert "Called once, when the server starts; since 0." in text
        assert "Takes no arguments." in text
        assert "Every module may implement it" in text


def test_each_is_documented_as_it_is() -> None:
    assert faults(HOOKS, PAGE) == []


def more(*, taken: int) -> list[Agent]:
    """Called once, when the server starts; since 0.1."""
    raise NotImplementedError


@pytest.mark.parametrize(
    "hooks, page, fault",
    [
        ({**HOOKS, "more": more}, PAGE, "more(*, taken: int) -> list[Agent] is not documented"),
        ({**HOOKS, "more": more}, f"{PAGE}\n## `more() -> list[Agent]`\n", "more() -> list[Agent] is documented, and"),
        (HOOKS, PAGE.replace("adiuva_agents() -> list[Agent]", "adiuva_agents(app) -> list[Agent]"), "is no hook"),
        (HOOKS, PAGE.replace("-> PluginManifest`", "-> dict`"), "adiuva_plugin() -> PluginManifest is not documented"),
        (HOOKS, PAGE.replace("| since | 0.1 |", "| since | 0.2 |"), "differ in since when"),
        (HOOKS, PAGE.replace("| fires |", "| burns |"), "does not say: fires"),
        (HOOKS, PAGE.replace("| arguments | none |", "| arguments | |"), "does not say: arguments"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(hooks: dict[str, Any], page: str, fault: str) -> None:
    assert fault in "\n".join(faults(hooks, page))


# What a module with all hooks gives, and where in `LoadedPlugin` it has to be found. A new hook belongs here.
GIVES = {
    "adiuva_agents": ("[It()]", "agents"),
    "adiuva_plugin": ('PluginManifest(id="it")', "manifest"),
    "adiuva_templates": ('[PromptTemplate(id="tpl_it", agent="it_agent", text="{{message}}")]', "templates"),
    "adiuva_action_observers": ("[Watcher()]", "observers"),
}
ALL_HOOKS = """
from adiuva.sdk import *

called, given = [], {}

class It(Agent):
    name = "it_agent"
    description = "Does it."
    instructions = "Do it."

class Watcher(ActionObserver):
    name = "watcher"

    async def observe(self, actions, ctx):
        pass
"""


def implementation(name: str) -> str:
    """It takes exactly what the hook has, and notes that it was called, with what, and what it gave."""
    arguments = list(inspect.signature(HOOKS[name]).parameters)
    taken = ", ".join(f"{argument!r}: {argument}" for argument in arguments)
    return f"""
@hookimpl
def {name}({", ".join(arguments)}):
    called.append(({name!r}, {{{taken}}}))
    return given.setdefault({name!r}, {GIVES[name][0]})
"""


def test_each_is_called_once_with_its_arguments_and_what_it_gives_is_there(pip_install: PipInstall) -> None:
    pip_install(
        "all-hooks",
        module="all_hooks",
        source=ALL_HOOKS + "".join(map(implementation, HOOKS)),
        entries="all-hooks = all_hooks",
    )
    registry = AgentRegistry.load()
    assert registry.failures == ()
    module: ModuleType = sys.modules["all_hooks"]
    assert sorted(name for name, _ in module.called) == sorted(HOOKS)
    for name, taken in module.called:
        assert list(taken) == list(inspect.signature(HOOKS[name]).parameters)
    plugin = next(plugin for plugin in registry.plugins if plugin.name == "all-hooks")
    for name, (_, where) in GIVES.items():
        found, given = getattr(plugin, where), module.given[name]
        assert found == (tuple(given) if isinstance(given, list) else given), name


BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RETURNS = {
    "adiuva_agents": Agent,
    "adiuva_plugin": PluginManifest,
    "adiuva_templates": PromptTemplate,
    "adiuva_action_observers": ActionObserver,
}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_example_of_each_hook_is_a_module_that_loads(pip_install: PipInstall, number: int) -> None:
    pip_install("hook-example", module="hook_example", source=BLOCKS[number], entries="example = hook_example")
    registry = AgentRegistry.load()
    module: ModuleType = sys.modules["hook_example"]
    assert registry.failures == ()
    assert "example" in {plugin.name for plugin in registry.plugins}
    name = list(HOOKS)[number]
    answer = getattr(module, name)()
    assert isinstance(answer[0] if isinstance(answer, list) else answer, RETURNS[name])


def test_there_is_an_example_for_each() -> None:
    assert len(BLOCKS) == len(HOOKS) == len(RETURNS)
    assert list(HOOKS) == re.findall(r"^## `(\w+)", PAGE, re.MULTILINE)
