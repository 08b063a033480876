"""Time entries, as a client keeps them in its context under ``time_entries``.

A timer's entry has ``started_at`` and, once it was stopped, ``stopped_at``: RFC 3339 times, in the client's time zone
where they have no offset. An entry that was logged afterwards has a ``date`` and ``minutes``. Both may have
``task_id``, ``project_id`` and ``description``.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from attrs import frozen

from adiuva.sdk import Context

KIND = "time_entries"
_YEARS = range(1970, 3000)  # beyond lie the ends of time, where a zone's offset leads out of it
LONGEST = timedelta(days=31)  # of one timer; one that ran longer was forgotten, or is no time at all


@frozen(kw_only=True)
class Spell:
    """Time spent on one day where the client is."""

    day: date
    project_id: str | None
    seconds: float


@frozen(kw_only=True)
class Timer:
    """A timer; one that still runs has no end. Both times are in UTC."""

    id: str
    started: datetime
    stopped: datetime | None


def moment(value: object, ctx: Context) -> datetime | None:
    """The RFC 3339 time ``value`` in UTC; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        read = (parsed if parsed.tzinfo else parsed.replace(tzinfo=ctx.now.tzinfo)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year in _YEARS else None


def timer_of(entry: dict[str, Any], ctx: Context) -> Timer | None:
    """The timer in an entry; None if it has none, or one that ends before it begins."""
    started, end = moment(entry.get("started_at"), ctx), entry.get("stopped_at")
    stopped = moment(end, ctx)
    if started is None or (end is not None and (stopped is None or stopped < started)):
        return None
    return Timer(id=str(entry.get("id", "")), started=started, stopped=stopped)


def running(ctx: Context) -> list[tuple[dict[str, Any], Timer]]:
    """The timers that run, the last started first."""
    timers = [(entry, timer_of(entry, ctx)) for entry in ctx.entries(KIND)]
    found = [(entry, timer) for entry, timer in timers if timer is not None and timer.stopped is None]
    return sorted(found, key=lambda pair: pair[1].started, reverse=True)


def spells(entry: dict[str, Any], ctx: Context) -> list[Spell] | None:
    """The time of an entry by day, a timer that runs counted until now; None if the entry cannot be read."""
    project = project_of(entry, ctx)
    timer = timer_of(entry, ctx)
    if timer is not None:
        until = timer.stopped or max(ctx.now.astimezone(UTC), timer.started)
        if until - timer.started > LONGEST:
            return None
        return [
            Spell(day=day, project_id=project, seconds=seconds) for day, seconds in _by_day(timer.started, until, ctx)
        ]
    day, minutes = ctx.local_date(entry.get("date")), entry.get("minutes")
    if day is None or isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 <= minutes <= 1440:
        return None
    return [Spell(day=day, project_id=project, seconds=minutes * 60)]


def project_of(entry: dict[str, Any], ctx: Context) -> str | None:
    """The project of an entry: its own, else that of its task."""
    own = entry.get("project_id")
    if own is None and isinstance(task_id := entry.get("task_id"), str | int):
        own = (ctx.find("tasks", str(task_id)) or {}).get("project_id")
    return str(own) if isinstance(own, str | int) and own != "" else None


def _by_day(started: datetime, stopped: datetime, ctx: Context) -> Iterator[tuple[date, float]]:
    """Elapsed seconds for each of the client's days, of which some have 23 or 25 hours."""
    zone = ctx.now.tzinfo
    day = started.astimezone(zone).date()
    while started < stopped:
        midnight = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        until = min(stopped, midnight)
        if until > started:
            yield day, (until - started).total_seconds()
            started = until
        day += timedelta(days=1)
