"""Time Tracker: measures the time spent on tasks and projects."""

from adiuva.sdk import Agent, Permission, PluginManifest, hookimpl
from adiuva_time_tracker.agent import TimeAgent

__all__ = ["TimeAgent", "adiuva_agents", "adiuva_plugin"]


@hookimpl
def adiuva_plugin() -> PluginManifest:
    """As the marketplace has it."""
    return PluginManifest(
        id="time-tracker",
        name="Time Tracker",
        description="Measures the time spent on tasks and projects.",
        version="1.0.0",
        permissions=[Permission.READ_TASKS, Permission.WRITE_TASKS, Permission.READ_PROJECTS],
    )


@hookimpl
def adiuva_agents() -> list[Agent]:
    """The one agent."""
    return [TimeAgent()]
