"""What GitHub refuses, in words that tell the model what to do.

Rate limits: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api. Whoever goes on asking may be
banned, so the time until which GitHub wants to be left alone comes with the error.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from adiuva.sdk import Context, ToolError

SECONDARY_SECONDS: Final = 60  # where GitHub says nothing else: "wait for at least one minute"
MAX_SECONDS: Final = 24 * 3600

_WORDS: Final = {
    401: "GitHub does not accept the token. Tell the user to renew it in this plugin's settings.",
    403: "GitHub does not allow this with the user's token. Tell the user which right it lacks.",
    404: "GitHub has no such repository or issue, or the user's token does not reach it.",
    410: "This repository has no issues, or the issue was deleted.",
}


def refusal(status: int, headers: Mapping[str, str], body: Any, ctx: Context) -> tuple[ToolError, float | None]:
    """The error for an answer that is none, and, in Unix seconds, until when nothing more may be asked."""
    message = str(body.get("message", ""))[:300] if isinstance(body, dict) else ""
    if status in (403, 429) and (seconds := _pause(status, headers, message)) is not None:
        until = time.time() + seconds
        at = datetime.fromtimestamp(until, UTC).astimezone(ctx.now.tzinfo)
        text = (
            f"GitHub's rate limit is used up. Do not try again now: it works again at {at:%H:%M:%S} on {at:%Y-%m-%d},"
            f" in {_spoken(seconds)}. Tell the user so."
        )
        return ToolError(text), until
    if status in _WORDS:
        return ToolError(_WORDS[status]), None
    if status >= 500:
        return ToolError(f"GitHub has a fault of its own ({status}). Tell the user to try again later."), None
    return ToolError(f"GitHub did not accept this ({status}): {message or 'it gives no reason'}"), None


def _pause(status: int, headers: Mapping[str, str], message: str) -> float | None:
    """How long to wait, in seconds; None if it is no rate limit that refuses."""
    after = headers.get("Retry-After", "")
    if after.isdecimal():
        return min(int(after), MAX_SECONDS)
    reset = headers.get("X-RateLimit-Reset", "")
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return min(max(int(reset) - _their_time(headers), 1), MAX_SECONDS)
    if status == 429 or "rate limit" in message.lower():
        return SECONDARY_SECONDS
    return None


def _their_time(headers: Mapping[str, str]) -> float:
    """Now, by the clock that the reset is given by."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return time.time()


def _spoken(seconds: float) -> str:
    return f"{round(seconds)} seconds" if seconds < 120 else f"{round(seconds / 60)} minutes"
