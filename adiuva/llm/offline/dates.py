"""Dates and times in a sentence, relative to the user's now."""

import calendar
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from attrs import frozen

from adiuva.llm.offline.text import Span

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}
_LEAD = r"(?:\b(?:due|for|by|on|until|till|before|from|at|to|is)\s+){0,4}"

_NOW = re.compile(r"^Now: (\S+)", re.MULTILINE)
_TIME = re.compile(r"\bat (?P<hour>[0-2]?\d)(?::(?P<minute>[0-5]\d))?\s*(?P<half>[ap]m)?\b", re.IGNORECASE)

Read = Callable[[re.Match[str], date], date]


@frozen
class FoundDate:
    """A date, and the words that say it, prepositions before it included."""

    day: date
    span: Span


def stated_now(texts: list[str]) -> datetime | None:
    """The moment that a line ``Now: <RFC 3339>`` states, in its own offset."""
    for text in texts:
        if found := _NOW.search(text):
            try:
                return datetime.fromisoformat(found[1])
            except ValueError:
                continue
    return None


def find_date(text: str, today: date) -> FoundDate | None:
    """The first kind of date in the order of ``_KINDS`` that ``text`` holds."""
    for pattern, read in _KINDS:
        if match := pattern.search(text):
            try:
                return FoundDate(read(match, today), Span(match[0], *match.span()))
            except (ValueError, OverflowError):
                continue
    return None


def find_time(text: str) -> tuple[time, Span] | None:
    """A time of day such as ``at 17:30`` or ``at 5 pm``."""
    match = _TIME.search(text)
    if match is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    return (time(hour, int(match["minute"] or 0)), Span(match[0], *match.span())) if hour < 24 else None


def _weekday(match: re.Match[str], today: date) -> date:
    ahead = (_WEEKDAYS.index(match["name"].lower()) - today.weekday()) % 7
    return today + timedelta(days=ahead or 7)


def _in(match: re.Match[str], today: date) -> date:
    text = match["number"].lower()
    number = _NUMBERS.get(text) or int(text)
    if match["unit"].lower() == "month":
        month = today.month - 1 + number
        year, month = today.year + month // 12, month % 12 + 1
        return date(year, month, min(today.day, calendar.monthrange(year, month)[1]))
    return today + timedelta(days=number * (7 if match["unit"].lower() == "week" else 1))


def _end(match: re.Match[str], today: date) -> date:
    if match["unit"].lower() == "month":
        return today.replace(day=calendar.monthrange(today.year, today.month)[1])
    return today + timedelta(days=(4 - today.weekday()) % 7)  # work ends on Friday


def _named(match: re.Match[str], today: date) -> date:
    month = _MONTHS.index(match["month"].lower()) + 1
    if match["year"]:
        return date(int(match["year"]), month, int(match["day"]))
    day = date(today.year, month, int(match["day"]))
    return day if day >= today else day.replace(year=today.year + 1)


def _days(number: int) -> Read:
    return lambda _match, today: today + timedelta(days=number)


def _kind(pattern: str, read: Read) -> tuple[re.Pattern[str], Read]:
    return re.compile(rf"{_LEAD}\b(?:{pattern})\b", re.IGNORECASE), read


_KINDS = (
    _kind(r"\d{4}-\d\d-\d\d", lambda match, _today: date.fromisoformat(match[0][-10:])),
    _kind(
        r"(?P<day>[0-3]?\d)\.(?P<number>[01]?\d)\.(?P<year>\d{4})",
        lambda match, _today: date(int(match["year"]), int(match["number"]), int(match["day"])),
    ),
    _kind(rf"(?:the )?{_DAY}(?: of)? {_MONTH}(?:,? (?P<year>\d{{4}}))?", _named),
    _kind(rf"{_MONTH} {_DAY}(?:,? (?P<year>\d{{4}}))?", _named),
    _kind(r"(?:the )?day after tomorrow", _days(2)),
    _kind(r"tomorrow", _days(1)),
    _kind(r"today|tonight|this (?:morning|afternoon|evening)", _days(0)),
    _kind(r"yesterday", _days(-1)),
    _kind(r"in (?P<number>\d{1,4}|[a-z]+) (?P<unit>day|week|month)s?", _in),
    _kind(r"(?:the )?end of (?:the|this) (?P<unit>week|month)", _end),
    _kind(rf"(?:(?:next|this|coming) )?(?P<name>{'|'.join(_WEEKDAYS)})", _weekday),
    _kind(r"next week", lambda _match, today: today + timedelta(days=7 - today.weekday())),
)
