"""All that an agent or a plugin imports from Adiuva.

An agent is a class with a name, a description, instructions and some tools; a hook brings it to the server:

    class GardenAgent(Agent):
        name = "garden_agent"
        description = "Plans garden work around the weather."
        instructions = "You plan garden work. …"

        @tool
        def list_forecasts(self, ctx: Context, days: int = 3) -> list[Any]:
            "List the forecasts of the next days."
            return ctx.entries("forecasts")[:days]

        @tool(permission="write:tasks")
        def create_task(self, ctx: Context, title: NonBlank) -> Action:
            "Create a garden task."
            return Action("create_task", {"title": title})

    @hookimpl
    def adiuva_agents() -> list[Agent]:
        return [GardenAgent()]

The distribution names that module in the entry-point group ``adiuva``. See ``docs/agents.md`` for the whole of it.
"""

from adiuva.sdk.actions import Action, changes
from adiuva.sdk.agent import Agent
from adiuva.sdk.context import Context
from adiuva.sdk.convert import NonBlank
from adiuva.sdk.errors import DefinitionError, ToolArgumentsError, ToolError
from adiuva.sdk.hookspecs import hookimpl, hookspec
from adiuva.sdk.observers import ActionObserver
from adiuva.sdk.permissions import Permission
from adiuva.sdk.plugins import PluginManifest
from adiuva.sdk.templates import PromptTemplate
from adiuva.sdk.tools import Tool, tool
from adiuva.sdk.unset import UNSET, Unset
from adiuva.sdk.urls import https_url

__all__ = [
    "UNSET",
    "Action",
    "ActionObserver",
    "Agent",
    "Context",
    "DefinitionError",
    "NonBlank",
    "Permission",
    "PluginManifest",
    "PromptTemplate",
    "Tool",
    "ToolArgumentsError",
    "ToolError",
    "Unset",
    "changes",
    "hookimpl",
    "hookspec",
    "https_url",
    "tool",
]
