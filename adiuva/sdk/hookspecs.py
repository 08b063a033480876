"""The hooks that a module in the entry-point group ``adiuva`` may implement.

Hooks only register: they are called once, when the server starts, and return descriptors. They are not async; whatever
takes time belongs into a tool. Mark an implementation with `hookimpl`.
"""

import pluggy

from adiuva.sdk.agent import Agent
from adiuva.sdk.observers import ActionObserver
from adiuva.sdk.plugins import PluginManifest
from adiuva.sdk.templates import PromptTemplate

PROJECT = "adiuva"
"""The name of the pluggy project, and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as the implementation of the hook of that name."""


@hookspec
def adiuva_agents() -> list[Agent]:
    """The agents that this module brings. Called once, when the server starts; since 0.1.

    Takes no arguments. Every module may implement it; an agent whose name is taken already is refused together with the
    rest of its module, which does not touch any other.
    """
    raise NotImplementedError


@hookspec
def adiuva_plugin() -> PluginManifest:
    """The marketplace plugin that this module is. Called once, when the server starts; since 0.1.

    Takes no arguments. Every module may implement it, each for a plugin of its own; an id that is taken already refuses
    the module. Without it the module's agents are the operator's own: open to all users whose tier allows them.
    """
    raise NotImplementedError


@hookspec
def adiuva_templates() -> list[PromptTemplate]:
    """The prompt templates that this module brings for its own agents. Called once, when the server starts; since 0.1.

    Takes no arguments. Every module may implement it beside `adiuva_agents`; a template for an agent of another module,
    or one whose id is taken already, is refused together with the rest of its module.
    """
    raise NotImplementedError


@hookspec
def adiuva_action_observers() -> list[ActionObserver]:
    """What is to be told about the actions of all agents. Called once, when the server starts; since 0.1.

    Takes no arguments. Every module may implement it; all observers are told, each by itself, in no order. One whose
    name is taken already is refused together with the rest of its module. Those of a module with a manifest are told
    about users who have that plugin installed, as far as its permissions reach; others are the operator's own.
    """
    raise NotImplementedError
