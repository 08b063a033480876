"""The base class of what is told about actions."""

from collections.abc import Sequence

from adiuva.sdk.actions import Action
from adiuva.sdk.context import Context


class ActionObserver:
    """Is told what the agents have produced, all of them: derive from it, set a name, and write `observe`.

    One object serves all users, many at once: keep nothing of a request in ``self``. Nobody waits for it; an answer is
    on its way before its observers begin.
    """

    name: str
    """Unique on a server, and written like an agent's name: ``garden_diary``."""
    batch_seconds: float = 1.0
    """How long a user's actions are gathered before `observe` is called, from the first on. At most 10."""

    async def observe(self, actions: Sequence[Action], ctx: Context) -> None:
        """Called with what one user's requests have produced, the oldest first; never twice for one action.

        Actions have been given to the client, which may not have applied them yet, and asks its user first where
        ``requires_confirmation`` says so. A plugin's observer is called for users who have the plugin installed, and
        sees actions on what it may read: with ``read:tasks`` those on tasks. In ``ctx`` there are the user, the time,
        the plugin's ``settings``, ``http``, ``log``, and in ``data`` the entries that the actions name by their ids,
        where the client had sent them (``ctx.find("tasks", action.params["task_id"])``).

        It has 60 seconds. What it raises is logged by its class, and what it was told about is not told again. While it
        runs, later actions of the same user gather, 500 at most; what is beyond that is dropped and counted in the log.
        """
        raise NotImplementedError
