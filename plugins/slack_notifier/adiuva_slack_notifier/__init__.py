"""Slack Notifier: tells a Slack channel what happens to tasks and checkpoints."""

from adiuva.sdk import ActionObserver, Permission, PluginManifest, hookimpl
from adiuva_slack_notifier.notifier import SlackNotifier

__all__ = ["SlackNotifier", "adiuva_action_observers", "adiuva_plugin"]


@hookimpl
def adiuva_plugin() -> PluginManifest:
    """As the marketplace has it."""
    return PluginManifest(
        id="slack-notifier",
        name="Slack Notifier",
        description="Tells a Slack channel about tasks and checkpoints.",
        version="1.0.0",
        permissions=[Permission.READ_TASKS, Permission.READ_CHECKPOINTS],
    )


@hookimpl
def adiuva_action_observers() -> list[ActionObserver]:
    """The one observer."""
    return [SlackNotifier()]
