"""Dates as people say them, on Tuesday, 1 December 2026."""

from datetime import date, time

import pytest

from adiuva.llm.offline.dates import find_date, find_time, stated_now

TODAY = date(2026, 12, 1)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("today", "2026-12-01"),
        ("tonight", "2026-12-01"),
        ("for tomorrow", "2026-12-02"),
        ("the day after tomorrow", "2026-12-03"),
        ("yesterday", "2026-11-30"),
        ("next Friday", "2026-12-04"),
        ("on friday", "2026-12-04"),
        ("by Tuesday", "2026-12-08"),
        ("next week", "2026-12-07"),
        ("in 3 days", "2026-12-04"),
        ("in two weeks", "2026-12-15"),
        ("in a month", "2027-01-01"),
        ("at the end of the month", "2026-12-31"),
        ("by the end of this week", "2026-12-04"),
        ("until 2026-12-24", "2026-12-24"),
        ("on 24.12.2026", "2026-12-24"),
        ("on 24 December", "2026-12-24"),
        ("on December 24th", "2026-12-24"),
        ("by the 3rd of March", "2027-03-03"),
        ("Jan 5, 2028", "2028-01-05"),
    ],
)
def test_a_date_is_found(text: str, expected: str) -> None:
    found = find_date(f"Call the bank {text}, please", TODAY)

    assert found is not None
    assert found.day.isoformat() == expected
    assert found.span.text.strip() == text.removeprefix("at ") or found.span.text == text


@pytest.mark.parametrize("text", ["no date here", "2026-13-45", "31 February", "in many days", "in 99999 months", ""])
def test_what_is_no_date_is_left_alone(text: str) -> None:
    assert find_date(text, TODAY) is None


@pytest.mark.parametrize(
    "text, expected", [("at 17:30", time(17, 30)), ("at 5 pm", time(17)), ("at 12 am", time(0)), ("at 25:00", None)]
)
def test_a_time_is_found(text: str, expected: time | None) -> None:
    found = find_time(text)

    assert (found and found[0]) == expected


def test_the_stated_now_keeps_its_offset() -> None:
    now = stated_now(["Be kind.", "Now: 2026-12-01T09:30:00+01:00 (Tuesday), time zone Europe/Berlin"])

    assert now is not None
    assert now.isoformat() == "2026-12-01T09:30:00+01:00"
    assert stated_now(["Now: soon"]) is None
