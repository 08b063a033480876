"""Reports: what was spent when, and on what, as a Markdown table."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from adiuva.sdk import Context
from adiuva_time_tracker.entries import KIND, Spell, running, spells

By = Literal["day_and_project", "day", "project"]
NO_PROJECT = "(no project)"


def report(ctx: Context, first: date, last: date, *, by: By, project_id: str | None = None) -> str:
    """The time from ``first`` to ``last``, these days included, of all projects or of one.

    Each line is rounded to the minute, and the total is the sum of the lines, so that it can be checked.
    """
    read = [spells(entry, ctx) for entry in ctx.entries(KIND)]
    counted = [
        spell
        for found in read
        for spell in found or ()
        if first <= spell.day <= last and project_id in (None, spell.project_id)
    ]
    period = first.isoformat() if first == last else f"{first.isoformat()} to {last.isoformat()}"
    parts = [f"**Time spent, {period}**", _table(counted, ctx, by) if counted else "No time was spent."]
    parts += [f"The timer that was started at {_clock(timer.started, ctx)} still runs." for _, timer in running(ctx)]
    if unread := sum(found is None for found in read):
        parts.append(f"Left out, since they cannot be read: {unread} entries.")
    return "\n\n".join(parts)


def duration(minutes: int) -> str:
    """``95`` as ``1:35``."""
    return f"{minutes // 60}:{minutes % 60:02}"


def _table(counted: Iterable[Spell], ctx: Context, by: By) -> str:
    names = {str(each.get("id")): _cell(each.get("name") or each.get("title")) for each in ctx.entries("projects")}
    seconds: dict[tuple[str, ...], float] = defaultdict(float)
    for spell in counted:
        project = NO_PROJECT if spell.project_id is None else names.get(spell.project_id) or _cell(spell.project_id)
        key = {"day": (spell.day.isoformat(),), "project": (project,)}.get(by, (spell.day.isoformat(), project))
        seconds[key] += spell.seconds
    rows = [(key, int(spent / 60 + 0.5)) for key, spent in sorted(seconds.items())]
    head = {"day": ["Day"], "project": ["Project"]}.get(by, ["Day", "Project"])
    lines = [
        [*head, "Time"],
        ["---"] * len(head) + ["---:"],
        *([*key, duration(minutes)] for key, minutes in rows),
        ["**Total**", *[""] * (len(head) - 1), f"**{duration(sum(minutes for _, minutes in rows))}**"],
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    """Text that stays within its cell."""
    return " ".join(str(value or "").split()).replace("\\", "\\\\").replace("|", "\\|")[:80]


def _clock(value: datetime, ctx: Context) -> str:
    return value.astimezone(ctx.now.tzinfo).strftime("%Y-%m-%d %H:%M")
