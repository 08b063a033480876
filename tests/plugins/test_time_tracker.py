from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adiuva.sdk import Agent, Context, ToolArgumentsError, ToolError
from adiuva_time_tracker import TimeAgent
from adiuva_time_tracker.entries import spells

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 11, 26, 15, 30, tzinfo=BERLIN)  # a Wednesday
PROJECTS = [{"id": "p1", "name": "Apollo"}, {"id": "p2", "name": "House | garden"}]
TASKS = [{"id": "t1", "title": "Call", "project_id": "p1"}, {"id": "t2", "title": "Rest"}]


def ctx(*entries: Any, now: datetime = NOW, **fields: Any) -> Context:
    return Context(data={"time_entries": list(entries), "projects": PROJECTS, "tasks": TASKS}, now=now, **fields)


def timer(started: str, stopped: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "e1", "started_at": started, **({"stopped_at": stopped} if stopped else {}), **fields}


@pytest.fixture
def agent() -> Agent:
    return TimeAgent()


def test_it_has_these_tools(agent: Agent) -> None:
    assert {name: tool.permission for name, tool in agent.tools().items()} == {
        "list_time_entries": "read:tasks",
        "start_timer": "write:tasks",
        "stop_timer": "write:tasks",
        "log_time": "write:tasks",
        "time_report": "read:tasks",
    }


async def test_a_timer_starts_now_or_when_the_user_says(call: Any) -> None:
    action = await call("start_timer", ctx(), task_id="t1")
    assert (action.name, action.params) == (
        "start_timer",
        {"task_id": "t1", "project_id": "p1", "started_at": "2025-11-26T14:30:00Z"},
    )
    action = await call("start_timer", ctx(), project_id="p2", description="Rake", started_at="2025-11-26T09:00")
    assert action.params == {"project_id": "p2", "description": "Rake", "started_at": "2025-11-26T08:00:00Z"}
    with pytest.raises(ToolError, match="still to come"):
        await call("start_timer", ctx(), started_at="2025-11-26T15:32:00+01:00")


async def test_one_timer_runs_at_a_time_and_can_be_exchanged_in_one_go(call: Any) -> None:
    request = ctx(timer("2025-11-26T08:00:00Z"))
    with pytest.raises(ToolError, match=r"A timer is running.*e1 since 2025-11-26T08:00Z"):
        await call("start_timer", request)
    stop = await call("stop_timer", request)
    assert (stop.name, stop.params) == ("stop_timer", {"entry_id": "e1", "stopped_at": "2025-11-26T14:30:00Z"})
    assert (await call("start_timer", request)).name == "start_timer"
    with pytest.raises(ToolError, match="A timer is running"):
        await call("start_timer", request)  # the client has not applied the first one yet, and will
    with pytest.raises(ToolError, match="No timer is running"):
        await call("stop_timer", request)


async def test_which_timer_stops_has_to_be_clear(call: Any) -> None:
    with pytest.raises(ToolError, match="No timer is running"):
        await call("stop_timer", ctx(timer("2025-11-26T08:00:00Z", "2025-11-26T09:00:00Z")))
    two = [timer("2025-11-26T08:00:00Z"), {**timer("2025-11-26T10:00:00Z"), "id": "e2"}]
    with pytest.raises(ToolError, match=r"Give the entry_id.*e2 since .*, e1 since"):
        await call("stop_timer", ctx(*two))
    action = await call("stop_timer", ctx(*two), entry_id="e1", stopped_at="2025-11-26T12:00")
    assert action.params == {"entry_id": "e1", "stopped_at": "2025-11-26T11:00:00Z"}
    with pytest.raises(ToolError, match="started after that time"):
        await call("stop_timer", ctx(*two), entry_id="e2", stopped_at="2025-11-26T10:59")


async def test_time_is_logged_for_today_or_a_day_before(call: Any) -> None:
    action = await call("log_time", ctx(), minutes=90, task_id="t2")
    assert (action.name, action.params) == ("log_time", {"task_id": "t2", "date": "2025-11-26", "minutes": 90})
    action = await call("log_time", ctx(), minutes=1, day="2025-11-25", project_id="p2")
    assert action.params == {"project_id": "p2", "date": "2025-11-25", "minutes": 1}


@pytest.mark.parametrize("minutes", [0, -5, 1441])
async def test_no_day_has_more_minutes_and_no_time_is_negative(call: Any, minutes: int) -> None:
    with pytest.raises(ToolError, match="from 1 to 1440"):
        await call("log_time", ctx(), minutes=minutes)


async def test_what_is_not_there_yet_or_unknown_is_refused(call: Any) -> None:
    with pytest.raises(ToolError, match="still to come"):
        await call("log_time", ctx(), minutes=5, day="2025-11-27")
    with pytest.raises(ToolError, match=r"t1 \(Call\)"):
        await call("log_time", ctx(), minutes=5, task_id="Call")
    with pytest.raises(ToolError, match=r"p1 \(Apollo\)"):
        await call("start_timer", ctx(), project_id="Apollo")
    with pytest.raises(ToolArgumentsError):
        await call("log_time", ctx(), minutes="5")


ENTRIES = (
    timer("2025-11-24T09:00:00+01:00", "2025-11-24T10:30:00+01:00", task_id="t1"),
    timer("2025-11-24T22:30:00Z", "2025-11-24T23:30:00Z", project_id="p2"),  # over midnight in Berlin
    {"id": "e3", "date": "2025-11-25", "minutes": 45, "project_id": "p1"},
    {"id": "e4", "date": "2025-11-25", "minutes": 20},
    {"id": "e5", "date": "2025-11-10", "minutes": 300},
)


async def test_a_report_by_day_and_project(call: Any) -> None:
    report = await call("time_report", ctx(*ENTRIES), first_day="2025-11-24", last_day="2025-11-26")
    assert report.splitlines() == [
        "**Time spent, 2025-11-24 to 2025-11-26**",
        "",
        "| Day | Project | Time |",
        "| --- | --- | ---: |",
        "| 2025-11-24 | Apollo | 1:30 |",
        "| 2025-11-24 | House \\| garden | 0:30 |",
        "| 2025-11-25 | (no project) | 0:20 |",
        "| 2025-11-25 | Apollo | 0:45 |",
        "| 2025-11-25 | House \\| garden | 0:30 |",
        "| **Total** |  | **3:35** |",
    ]


async def test_a_report_by_day_or_by_project_or_of_one_project(call: Any) -> None:
    days = await call("time_report", ctx(*ENTRIES), first_day="2025-11-24", by="day")
    assert (
        "| Day | Time |\n| --- | ---: |\n| 2025-11-24 | 2:00 |\n| 2025-11-25 | 1:35 |\n| **Total** | **3:35** |" in days
    )
    projects = await call("time_report", ctx(*ENTRIES), first_day="2025-11-24", by="project")
    assert (
        "| (no project) | 0:20 |\n| Apollo | 2:15 |\n| House \\| garden | 1:00 |\n| **Total** | **3:35** |" in projects
    )
    one = await call("time_report", ctx(*ENTRIES), first_day="2025-11-24", by="project", project_id="p1")
    assert "| Apollo | 2:15 |\n| **Total** | **2:15** |" in one


async def test_a_timer_that_runs_is_counted_until_now_and_named(call: Any) -> None:
    report = await call("time_report", ctx(timer("2025-11-26T14:00:00Z")), first_day="2025-11-26", by="day")
    assert "| 2025-11-26 | 0:30 |" in report
    assert "The timer that was started at 2025-11-26 15:00 still runs." in report


async def test_what_cannot_be_read_is_left_out_and_said(call: Any) -> None:
    odd: list[Any] = [
        {"id": "x"},
        timer("2025-11-24T10:00:00Z", "2025-11-24T09:00:00Z"),
        timer("yesterday"),
        timer("0001-01-01T00:00:00+14:00"),
        timer("9999-12-31T23:59:00Z", "9999-12-31T23:59:30Z"),
        timer("2025-01-01T10:00:00Z", "2025-06-01T09:00:00Z"),
        {"date": "2025-11-24", "minutes": True},
        {"date": "2025-11-24", "minutes": float("nan")},
        {"date": "2025-11-24", "minutes": "5"},
        {"date": 5, "minutes": 5},
    ]
    report = await call("time_report", ctx(*odd, ENTRIES[2]), first_day="2025-11-24")
    assert "| **Total** |  | **0:45** |" in report
    assert f"Left out, since they cannot be read: {len(odd)} entries." in report
    nothing = await call("time_report", Context(data={"time_entries": "x"}, now=NOW), first_day="2025-11-24")
    assert nothing.endswith("No time was spent.")


@pytest.mark.parametrize("first,last", [("2025-11-26", "2025-11-25"), ("2024-01-01", "2025-11-25")])
async def test_a_period_has_an_end_after_its_beginning_within_a_year(call: Any, first: str, last: str) -> None:
    with pytest.raises(ToolError, match="a year at most"):
        await call("time_report", ctx(), first_day=first, last_day=last)


async def test_the_day_when_clocks_change_has_23_or_25_hours(call: Any) -> None:
    for day, hours in ("2025-03-30", "23:00"), ("2025-10-26", "25:00"), ("2025-10-27", "24:00"):
        midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
        following = midnight + timedelta(days=1)  # at the same wall clock
        whole = timer(midnight.isoformat(), following.isoformat())
        report = await call("time_report", ctx(whole), first_day=day, last_day=day, by="day")
        assert f"| {day} | {hours} |" in report


async def test_the_night_of_the_change_is_counted_as_it_passed(call: Any) -> None:
    night = timer("2025-10-26T01:30:00+02:00", "2025-10-26T03:30:00+01:00")
    report = await call("time_report", ctx(night), first_day="2025-10-26", last_day="2025-10-26", by="day")
    assert "| 2025-10-26 | 3:00 |" in report
    naive = timer("2025-10-26T01:30:00", "2025-10-26T03:30:00")  # the client's wall clock
    report = await call("time_report", ctx(naive), first_day="2025-10-26", last_day="2025-10-26", by="day")
    assert "| 2025-10-26 | 3:00 |" in report


@pytest.mark.parametrize(
    "zone, day",
    [
        ("America/Sao_Paulo", "2017-10-15"),  # has no midnight
        ("Asia/Beirut", "2025-03-30"),  # likewise
        ("America/Havana", "2025-11-02"),  # has two
        ("Pacific/Apia", "2011-12-31"),  # follows the 29th
        ("Australia/Lord_Howe", "2025-04-06"),  # half an hour
    ],
)
def test_no_second_is_lost_or_counted_twice_where_midnight_is_odd(zone: str, day: str) -> None:
    middle = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    start, end = middle - timedelta(hours=30), middle + timedelta(hours=30)
    entry = timer(start.isoformat(), end.isoformat())
    found = spells(entry, ctx(now=end))
    assert found is not None
    assert sum(spell.seconds for spell in found) == end.timestamp() - start.timestamp()
    days = [spell.day for spell in found]
    assert days == sorted(set(days))


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)),  # noqa: DTZ001 - the zone follows
    st.floats(min_value=0, max_value=20 * 86400),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "America/Santiago"]),
)
def test_the_days_of_a_timer_add_up_to_its_length(start: datetime, seconds: float, zone: str) -> None:
    started = start.replace(tzinfo=ZoneInfo("UTC"))
    stopped = started + timedelta(seconds=seconds)
    found = spells(timer(started.isoformat(), stopped.isoformat()), ctx(now=stopped.astimezone(ZoneInfo(zone))))
    assert found is not None
    assert sum(spell.seconds for spell in found) == pytest.approx((stopped - started).total_seconds())
    assert all(0 < spell.seconds <= 25 * 3600 for spell in found)


async def test_entries_are_listed_by_day(call: Any) -> None:
    listed = await call("list_time_entries", ctx(*ENTRIES, None, "x"), first_day="2025-11-25", last_day="2025-11-25")
    assert [entry["id"] for entry in listed] == ["e1", "e3", "e4"]  # e1: the one over midnight
    assert len(await call("list_time_entries", ctx(*ENTRIES))) == 5
