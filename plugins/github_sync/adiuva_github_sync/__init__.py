"""GitHub Sync: reads the issues of a repository, makes tasks of them, comments on them and closes them."""

from adiuva.sdk import Agent, Permission, PluginManifest, hookimpl
from adiuva_github_sync.agent import GitHubAgent

__all__ = ["GitHubAgent", "adiuva_agents", "adiuva_plugin"]


@hookimpl
def adiuva_plugin() -> PluginManifest:
    """As the marketplace has it. What it does at GitHub is up to the user's token, and no permission of Adiuva's."""
    return PluginManifest(
        id="github-sync",
        name="GitHub Sync",
        description="Keeps tasks and GitHub issues in step.",
        version="1.0.0",
        permissions=[Permission.READ_TASKS, Permission.WRITE_TASKS, Permission.READ_PROJECTS],
    )


@hookimpl
def adiuva_agents() -> list[Agent]:
    """The one agent."""
    return [GitHubAgent()]
