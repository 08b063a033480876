"""Plugins as they are found: real distributions on ``sys.path``, good ones and broken ones side by side."""

import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest
import structlog

from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import Agent, Context, PluginManifest, tool
from tests.distributions import PipInstall

OURS = ("checkpoint_agent", "github_agent", "note_agent", "project_agent", "task_agent", "time_agent")
OUR_PLUGINS = ["github-sync", "slack-notifier", "time-tracker"]
Install = Callable[..., None]


def module(name: str, *, extra: str = "", returns: str = "") -> str:
    """The source of a plugin with one agent."""
    return f"""
from adiuva.sdk import *

class It(Agent):
    name = {name!r}
    description = "Does it."
    instructions = "Do it."

    @tool
    def list_it(self, ctx: Context) -> list[str]:
        "List it."
        return []

@hookimpl
def adiuva_agents():
    return {returns or "[It()]"}
{extra}
"""


@pytest.fixture
def install(pip_install: PipInstall) -> Install:
    """Installs a distribution of one module: ``install("garden", source)``."""

    def install_one(
        name: str, source: str, *, distribution: str = "", version: str = "1.2.3", entries: str = ""
    ) -> None:
        module = f"plugin_{name}"
        entries = entries or f"{name} = {module}"
        pip_install(distribution or f"x-{name}", module=module, source=source, entries=entries, version=version)

    return install_one


def failures(registry: AgentRegistry) -> dict[str, str]:
    return {failure.name: failure.error for failure in registry.failures}


def test_our_agents_are_there_without_anybody_elses() -> None:
    registry = AgentRegistry.load()
    assert registry.names() == OURS
    assert registry.failures == ()
    assert [agent.name for agent in registry.list_agents()] == list(OURS)


def test_an_installed_agent_is_found(install: Install) -> None:
    install("garden", module("garden_agent"))
    registry = AgentRegistry.load()
    agent = registry.get("garden_agent")
    assert agent is not None
    assert list(agent.tools()) == ["list_it"]
    assert registry.manifest_of("garden_agent") is None
    plugin = next(plugin for plugin in registry.plugins if plugin.name == "garden")
    assert (plugin.version, plugin.agents, plugin.manifest) == ("1.2.3", (agent,), None)


def test_a_manifest_ties_the_agents_of_its_module_to_a_plugin(install: Install) -> None:
    hook = '@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="garden", permissions=["read:tasks"])'
    install("garden", module("garden_agent", extra=hook))
    registry = AgentRegistry.load()
    assert registry.manifest_of("garden_agent") == PluginManifest(id="garden", permissions=["read:tasks"])
    assert registry.manifest_of("task_agent") is None


def test_a_plugin_without_agents_is_a_plugin_too(install: Install) -> None:
    install("bare", 'from adiuva.sdk import *\n@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="bare")')
    registry = AgentRegistry.load()
    assert registry.names() == OURS
    assert [plugin.manifest.id for plugin in registry.plugins if plugin.manifest] == [*OUR_PLUGINS, "bare"]


BROKEN = {
    "import_error": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "syntax_error": ("def f(:", "SyntaxError: "),
    "raises": ("raise RuntimeError('boom')", "RuntimeError: boom"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "bad_tool": (
        module("bad_agent").replace("ctx: Context)", "ctx: Context, x: complex)"),
        "DefinitionError: It.list_it: argument 'x': complex is not supported; there are str",
    ),
    "no_hook": ("x = 1", "it implements no hook; is @hookimpl missing?"),
    "unmarked_hook": (
        module("unmarked_agent").replace("@hookimpl", ""),
        "it implements no hook; is @hookimpl missing?",
    ),
    "unknown_hook": (
        module("unknown_agent", extra="@hookimpl\ndef adiuva_agentz(): ..."),
        "PluginValidationError: unknown hook 'adiuva_agentz'",
    ),
    "wrong_signature": (
        module("wrong_agent").replace("def adiuva_agents()", "def adiuva_agents(app)"),
        "PluginValidationError: Plugin 'wrong_signature' for hook 'adiuva_agents'",
    ),
    "hook_raises": (module("raising_agent", returns="1 / 0"), "ZeroDivisionError: division by zero"),
    "kills": ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
    "returns_none": (module("none_agent", returns="None"), "adiuva_agents returned None"),
    "returns_one": (module("one_agent", returns="It()"), "adiuva_agents returned It, not a list of agents"),
    "returns_class": (module("class_agent", returns="[It]"), "adiuva_agents returned the class It; return It()"),
    "returns_text": (
        module("text_agent", returns="['it']"),
        "adiuva_agents returned a list with str, which is no Agent",
    ),
    "bad_name": (module("Bad Agent"), "the agent name 'Bad Agent' must be like 'garden_agent'"),
    "no_name": (module(""), "It.name must be a text that is not empty"),
    "no_description": (
        module("mute_agent").replace("    description =", "    other ="),
        "It.description must be a text that is not empty",
    ),
    "twice": (module("twice_agent", returns="[It(), It()]"), "the agent name 'twice_agent' is taken"),
    "taken_name": (module("task_agent"), "the agent name 'task_agent' is taken"),
    "bad_manifest": (
        module("manifest_agent", extra="@hookimpl\ndef adiuva_plugin():\n    return {'id': 'x'}"),
        "adiuva_plugin returned dict, not a PluginManifest",
    ),
    "bad_permission": (
        module(
            "greedy_agent",
            extra="@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id='x', permissions=['*'])",
        ),
        "DefinitionError: '*' is no permission",
    ),
    "bad_tools": (
        module("tools_agent").replace(
            "    instructions", "    def tools(self):\n        return {'x': 1}\n    instructions"
        ),
        "It.tools() has 'x', which is no Tool",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_skipped_with_its_reason(install: Install, name: str) -> None:
    source, reason = BROKEN[name]
    install(name, source)
    with structlog.testing.capture_logs() as logs:
        registry = AgentRegistry.load()
    assert registry.names() == OURS
    (failure,) = registry.failures
    assert (failure.name, failure.version) == (name, "1.2.3")
    assert failure.error.startswith(reason)
    assert [entry for entry in logs if entry["log_level"] == "warning"] == [
        {
            "event": "plugin skipped",
            "plugin": name,
            "version": "1.2.3",
            "error": failure.error,
            "log_level": "warning",
        }
    ]


def test_many_broken_plugins_do_not_touch_the_good_ones(install: Install) -> None:
    for name, (source, _) in BROKEN.items():
        install(name, source)
    install("aaa", module("aaa_agent"))
    install("zzz", module("zzz_agent"))
    registry = AgentRegistry.load()
    assert registry.names() == tuple(sorted((*OURS, "aaa_agent", "zzz_agent")))
    assert set(failures(registry)) == set(BROKEN)


def test_of_two_plugins_with_one_agent_name_the_first_by_name_is_kept(install: Install) -> None:
    install("later", module("garden_agent"))
    install("early", module("garden_agent"))
    registry = AgentRegistry.load()
    assert failures(registry) == {"later": "the agent name 'garden_agent' is taken"}


def test_nobody_takes_the_name_of_a_first_party_agent_by_coming_first(install: Install) -> None:
    install("aaa", module("task_agent"), distribution="aaa-first")
    registry = AgentRegistry.load()
    assert failures(registry) == {"aaa": "the agent name 'task_agent' is taken"}
    agent = registry.get("task_agent")
    assert agent is not None
    assert type(agent).__module__ == "adiuva_task_agent"


def test_a_refused_plugin_leaves_none_of_its_agents_behind(install: Install) -> None:
    second = "class Other(It):\n    name = 'task_agent'\n\n"
    install("two", module("fresh_agent", returns="[It(), Other()]").replace("@hookimpl", second + "@hookimpl"))
    registry = AgentRegistry.load()
    assert registry.get("fresh_agent") is None
    assert failures(registry) == {"two": "the agent name 'task_agent' is taken"}


def test_two_plugins_of_one_id_are_one_too_many(install: Install) -> None:
    hook = '@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="garden")'
    install("early", module("early_agent", extra=hook))
    install("later", module("later_agent", extra=hook))
    registry = AgentRegistry.load()
    assert failures(registry) == {"later": "the plugin id 'garden' is taken"}
    assert registry.get("early_agent") is not None


def test_entry_points_that_collide_are_refused(install: Install) -> None:
    install("early", module("early_agent"), entries="early = plugin_early\ntwin = plugin_early")
    install("other", module("other_agent"), entries="early = plugin_other")
    registry = AgentRegistry.load()
    assert [(failure.name, failure.error) for failure in registry.failures] == [
        ("twin", "another entry point names the same module"),
        ("early", "the name 'early' is taken by another plugin"),
    ]
    assert registry.get("early_agent") is not None


@pytest.mark.parametrize("blocked", ["garden", "x-garden", "X_Garden", "garden-id"])
def test_a_blocked_plugin_is_kept_out_by_any_of_its_names(install: Install, blocked: str) -> None:
    hook = '@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="garden-id")'
    install("garden", module("garden_agent", extra=hook))
    registry = AgentRegistry.load({blocked, "never_heard_of"})
    assert registry.names() == OURS
    assert registry.failures == ()
    assert registry.blocked == ("garden",)


def test_a_plugin_that_is_blocked_by_name_is_not_even_imported(install: Install) -> None:
    install("garden", "raise RuntimeError('imported')")
    assert AgentRegistry.load({"garden"}).failures == ()
    assert "plugin_garden" not in sys.modules


def test_each_registry_is_its_own() -> None:
    assert AgentRegistry.load({"task"}).get("task_agent") is None
    assert AgentRegistry.load().get("task_agent") is not None


def test_a_registry_of_given_agents_knows_only_these() -> None:
    class GardenAgent(Agent):
        name = "garden_agent"
        description = "Plans garden work."
        instructions = "You plan garden work."

        @tool
        def list_beds(self, ctx: Context) -> list[str]:
            """List the beds."""
            return []

    agent = GardenAgent()
    manifest = PluginManifest(id="garden")
    registry = AgentRegistry.of(agent, manifest=manifest)
    assert registry.names() == ("garden_agent",)
    assert registry.get("garden_agent") is agent
    assert registry.manifest_of("garden_agent") is manifest
    assert registry.get("task_agent") is None
    assert registry.manifest_of("task_agent") is None
    assert AgentRegistry.of().list_agents() == []


TEMPLATES = """
@hookimpl
def adiuva_templates():
    return {returns}
"""


def with_templates(returns: str) -> str:
    return module("garden_agent", extra=TEMPLATES.format(returns=returns))


def test_templates_come_with_the_agents_of_their_module(install: Install) -> None:
    template = 'PromptTemplate(id="tpl_garden_agent_default", agent="garden_agent", text="Dig: {{message}}")'
    install("garden", with_templates(f"[{template}]"))
    assert [template.text for template in AgentRegistry.load().templates()] == ["Dig: {{message}}"]


@pytest.mark.parametrize(
    "returns, error",
    [
        ("5", "adiuva_templates returned int, not a list of templates"),
        ("[5]", "adiuva_templates returned a list with int, which is no PromptTemplate"),
        ("None", "adiuva_templates returned None"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ('[PromptTemplate(id="x", agent="garden_agent", text="{{message}}")]', "DefinitionError: a template's id is"),
        (
            '[PromptTemplate(id="tpl_x", agent="task_agent", text="{{message}}")]',
            "the template 'tpl_x' is for 'task_agent', no agent of this module",
        ),
        (
            '[PromptTemplate(id="tpl_task_agent_default", agent="garden_agent", text="{{message}}")]',
            "the template id 'tpl_task_agent_default' is taken",
        ),
        (
            '[PromptTemplate(id="tpl_x", agent="garden_agent", text="{{message}}")] * 2',
            "the template id 'tpl_x' is taken",
        ),
    ],
)
def test_a_module_with_a_wrong_template_is_left_out(install: Install, returns: str, error: str) -> None:
    install("garden", with_templates(returns))
    registry = AgentRegistry.load()
    assert registry.get("garden_agent") is None
    assert failures(registry)["garden"].startswith(error)
    assert registry.names() == OURS


OBSERVER = """
class Watcher(ActionObserver):
    name = {name!r}

    async def observe(self, actions, ctx):
        pass

@hookimpl
def adiuva_action_observers():
    return {returns}
"""


def with_observer(name: str = "watcher", returns: str = "[Watcher()]") -> str:
    return module("garden_agent", extra=OBSERVER.format(name=name, returns=returns))


def test_observers_come_with_the_manifest_of_their_module(install: Install) -> None:
    hook = '@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="garden")'
    install("garden", with_observer() + hook)
    found = {observer.name: manifest for observer, manifest in AgentRegistry.load().observers()}
    assert found["watcher"] == PluginManifest(id="garden")
    assert found.keys() == {"watcher", "slack_notifier"}


@pytest.mark.parametrize(
    "source, error",
    [
        (with_observer(returns="5"), "adiuva_action_observers returned int, not a list of observers"),
        (with_observer(returns="[5]"), "adiuva_action_observers returned a list with int, which is no ActionObserver"),
        (with_observer(returns="[Watcher]"), "adiuva_action_observers returned a list with type, which is no"),
        (with_observer(returns="None"), "adiuva_action_observers returned None"),
        (with_observer(name="A b"), "the observer name 'A b' must be like 'garden_diary'"),
        (with_observer(name=""), "the observer name '' must be like 'garden_diary'"),
        (with_observer(name="slack_notifier"), "the observer name 'slack_notifier' is taken"),
        (with_observer(returns="[Watcher(), Watcher()]"), "the observer name 'watcher' is taken"),
        (with_observer().replace("async def", "def"), "Watcher.observe must be async"),
        (with_observer().replace("async def", "batch_seconds = 'x'\n    async def"), "Watcher.batch_seconds must be"),
        (with_observer().replace("def adiuva_action_observers()", "def adiuva_action_observers(app)"), "PluginValid"),
    ],
)
def test_a_module_with_a_wrong_observer_is_left_out(install: Install, source: str, error: str) -> None:
    install("garden", source)
    registry = AgentRegistry.load()
    assert registry.get("garden_agent") is None
    assert failures(registry)["garden"].startswith(error)
    assert registry.names() == OURS


SLOW = "import threading\nthreading.Event().wait(60)\n"


def test_a_module_that_takes_too_long_to_import_does_not_hold_the_start(install: Install) -> None:
    install("early", module("early_agent"))
    install("slow", SLOW + module("slow_agent"))
    install("swift", module("swift_agent"))
    started = time.monotonic()
    registry = AgentRegistry.load(seconds=0.5)
    assert time.monotonic() - started < 10
    assert failures(registry) == {"slow": "it took longer than 0.5 s to load"}
    assert {"early_agent", "swift_agent", *OURS} == set(registry.names())


def test_a_hook_that_takes_too_long_is_one_that_fails(install: Install) -> None:
    install("slow", module("slow_agent", returns="__import__('threading').Event().wait(60)"))
    assert failures(AgentRegistry.load(seconds=0.5)) == {"slow": "it took longer than 0.5 s to load"}


def test_what_loads_later_than_its_time_brings_nothing(install: Install) -> None:
    source = "import plugin_gate\nplugin_gate.opened.wait()\n" + module("late_agent") + "plugin_gate.done.set()\n"
    gate = ModuleType("plugin_gate")
    vars(gate).update(opened=threading.Event(), done=threading.Event())
    sys.modules["plugin_gate"] = gate
    install("late", source)
    registry = AgentRegistry.load(seconds=0.2)
    gate.opened.set()
    assert gate.done.wait(10)
    assert registry.get("late_agent") is None
    assert failures(registry).keys() == {"late"}


def test_nobody_takes_the_id_of_one_of_our_plugins(install: Install) -> None:
    hook = '@hookimpl\ndef adiuva_plugin():\n    return PluginManifest(id="github-sync")'
    install("aaa", module("aaa_agent", extra=hook), distribution="aaa")
    assert failures(AgentRegistry.load()) == {"aaa": "the plugin id 'github-sync' is taken"}
