"""Actions as a message for Slack, in its mrkdwn: https://docs.slack.dev/messaging/formatting-message-text."""

from collections.abc import Sequence
from typing import Any, Final

from adiuva.sdk import Action, Context

MAX_LINES: Final = 20
MAX_CHARACTERS: Final = 4000  # "we recommend to keep the text under 4,000 characters"

_KINDS: Final = {"task_comment": "Comment on a task", "task": "Task", "checkpoint": "Checkpoint"}
_VERBS: Final = {"create": "created", "add": "added", "update": "changed", "delete": "deleted"}
_LISTS: Final = {"task_comment": "tasks", "task": "tasks", "checkpoint": "checkpoints"}
_SHOWN: Final = ("status", "priority", "due_date", "date")


def message(actions: Sequence[Action], ctx: Context) -> str:
    """One message about all of ``actions``, a line each; the text of users is escaped and cut."""
    lines = [_line(action, ctx) for action in actions]
    head = "*Adiuva*" if len(lines) == 1 else f"*Adiuva*: {len(lines)} changes"
    shown, length = [head], len(head)
    for number, line in enumerate(lines):
        left = len(lines) - number
        if number == MAX_LINES or length + len(line) > MAX_CHARACTERS - 40:
            shown.append(f"… and {left} more")
            break
        shown.append(line)
        length += len(line) + 1
    return "\n".join(shown)


def escaped(value: Any, longest: int = 150) -> str:
    """Text that Slack shows as it is: no mention, no link, no formatting, one line."""
    text = " ".join(str(value).split())
    text = text if len(text) <= longest else text[:longest] + "…"
    for character in "*_~`":  # formatting needs a word's border; a zero-width space takes it away
        text = text.replace(character, f"\u200b{character}\u200b")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _line(action: Action, ctx: Context) -> str:
    verb, _, noun = action.name.partition("_")
    entry = ctx.find(_LISTS.get(noun, ""), str(action.params.get(f"{noun.partition('_')[0]}_id", ""))) or {}
    what, done = _KINDS.get(noun), _VERBS.get(verb)
    title = action.params.get("title") or entry.get("title") or entry.get("name") or action.params.get("name")
    named = f": {escaped(title)}" if isinstance(title, str) and title.strip() else ""
    details = [escaped(action.params[name], 40) for name in _SHOWN if action.params.get(name)]
    more = f" ({', '.join(details)})" if details else ""
    if what is None or done is None:
        what, done = escaped(action.name.replace("_", " ").capitalize()), ""
    asked = "to be " if action.requires_confirmation else ""
    waits = ", if the user confirms it" if action.requires_confirmation else ""
    return f"• {what} {asked}{done}".rstrip() + f"{named}{more}{waits}"
