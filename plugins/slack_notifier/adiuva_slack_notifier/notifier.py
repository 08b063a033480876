"""Posts to an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import aiohttp
import stamina
from attrs import define, field

from adiuva.sdk import Action, ActionObserver, Context, ToolError, https_url
from adiuva_slack_notifier.text import message

ATTEMPTS: Final = 5
TOTAL_SECONDS: Final = 55.0  # the server gives an observer 60
MAX_PAUSE_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 1.0


class _TryAgainError(Exception):
    """Slack has no time right now; ``after`` is how long it wants to be left alone, in seconds."""

    def __init__(self, after: float | None = None) -> None:
        self.after = after
        super().__init__()


class _RefusedError(Exception):
    """The address may not be called from here."""


@define(eq=False)
class SlackNotifier(ActionObserver):
    """One message for all that a user's requests have produced within a few seconds."""

    name = "slack_notifier"
    batch_seconds = 2.0  # Slack takes one message a second and webhook
    first_pause: float = field(default=FIRST_PAUSE_SECONDS, kw_only=True)

    async def observe(self, actions: Sequence[Action], ctx: Context) -> None:
        """Post ``actions``, unless the user has given no webhook."""
        if not ctx.settings.get("webhook_url"):
            return
        try:
            url = https_url(ctx.settings["webhook_url"], name="webhook_url")
        except ToolError:
            ctx.log.warning("not posted", reason="webhook_url is not an https address")
            return
        text = message(actions, ctx)
        try:
            async for attempt in stamina.retry_context(
                on=_pause, attempts=ATTEMPTS, timeout=TOTAL_SECONDS, wait_initial=self.first_pause, wait_jitter=0
            ):
                with attempt:
                    await _post(url, text, ctx)
        except _TryAgainError:
            ctx.log.warning("not posted", reason="Slack does not take it", lost=len(actions))
        except _RefusedError:
            ctx.log.warning("not posted", reason="webhook_url may not be called from here", lost=len(actions))


async def _post(url: str, text: str, ctx: Context) -> None:
    """Post once. What aiohttp raises says too much for a log that a retry may write.

    Raises:
        _TryAgainError: it may work later; or it was posted, and nobody said so: better twice than never.
        _RefusedError: it never will.
    """
    try:
        async with ctx.http.post(url, json={"text": text}, allow_redirects=False) as response:
            _check(response, ctx)
    except aiohttp.ClientConnectorError as error:
        raise (_RefusedError if isinstance(error.os_error, PermissionError) else _TryAgainError) from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise _TryAgainError from None


def _check(response: aiohttp.ClientResponse, ctx: Context) -> None:
    if response.status == 429:
        after = response.headers.get("Retry-After", "")
        raise _TryAgainError(float(after) if after.isdecimal() else None)
    if response.status >= 500:
        raise _TryAgainError
    if response.status != 200:  # the webhook is gone, the channel archived, …
        ctx.log.warning("not posted", reason=f"Slack answers {response.status}")


def _pause(error: Exception) -> bool | timedelta:
    """Whether to try again, and after how long if Slack says so."""
    if not isinstance(error, _TryAgainError):
        return False
    if error.after is None:
        return True
    return timedelta(seconds=error.after) if error.after <= MAX_PAUSE_SECONDS else False
