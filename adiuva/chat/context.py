"""From the context that a client sent to the `Context` that tools see."""

from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adiuva import clock

# strftime would name them in the language of the server.
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as ``Europe/Berlin``. Raises `ValueError` where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder of zones
        msg = "not an IANA time zone"
        raise ValueError(msg) from error


def parse_now(text: str) -> datetime:
    """The moment of an RFC 3339 text. Raises `ValueError` for anything else, a time without an offset included."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = "not an RFC 3339 time"
        raise ValueError(msg) from error
    if moment.tzinfo is None:
        msg = "has no offset from UTC"
        raise ValueError(msg)
    return moment


def client_now(context: dict[str, Any]) -> datetime:
    """The time at the client: by its own clock and zone where it sent them, else by the server's clock.

    Raises `ValueError` where ``now`` or ``timezone`` cannot be read, and `OverflowError` at the ends of time.
    """
    sent, name = context.get("now"), context.get("timezone")
    moment = parse_now(sent) if isinstance(sent, str) else clock.now()
    zone: tzinfo | None = parse_zone(name) if isinstance(name, str) else moment.tzinfo
    return moment.astimezone(zone)


def clock_line(now: datetime) -> str:
    """The line that tells a model what time it is for the user."""
    return f"Now: {now.isoformat(timespec='seconds')} ({_WEEKDAYS[now.weekday()]}), time zone {now.tzinfo}"
