from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adiuva.sdk import UNSET, Context, ToolError

ODD: list[Any] = [
    None,
    5,
    "text",
    True,
    [],
    {},
    {"title": "no id"},
    {"id": None},
    {"id": []},
    {"id": {"a": 1}},
    {"id": True},
]


def test_today_is_where_the_client_is() -> None:
    late = datetime(2025, 11, 23, 23, 30, tzinfo=UTC)
    assert Context(now=late).today() == date(2025, 11, 23)
    assert Context(now=late.astimezone(ZoneInfo("Europe/Berlin"))).today() == date(2025, 11, 24)
    assert Context(now=late.astimezone(ZoneInfo("America/New_York"))).today() == date(2025, 11, 23)


@pytest.mark.parametrize("listed", [None, 5, "tasks", True, {}, {"id": "t1"}])
def test_what_is_no_list_lists_nothing(listed: Any) -> None:
    ctx = Context(data={"tasks": listed})
    assert ctx.entries("tasks") == []
    assert ctx.find("tasks", "t1") is None
    ctx.require("tasks", "t1")


def test_malformed_entries_are_passed_over() -> None:
    ctx = Context(data={"tasks": [*ODD, {"id": "t1", "title": "a"}]})
    assert ctx.find("tasks", "t1") == {"id": "t1", "title": "a"}
    assert all(isinstance(entry, dict) for entry in ctx.entries("tasks"))
    for text in ("None", "True", "[]", ""):
        assert ctx.find("tasks", text) is None


def test_an_id_that_is_a_number_is_found_by_its_text() -> None:
    assert Context(data={"tasks": [{"id": 7}]}).find("tasks", "7") == {"id": 7}


def test_of_several_with_one_id_the_first_is_found_and_what_a_list_has_gained_too() -> None:
    ctx = Context(data={"tasks": [{"id": "a", "n": 1}, {"id": "a", "n": 2}]})
    assert ctx.find("tasks", "a") == {"id": "a", "n": 1}
    ctx.data["tasks"].append({"id": "b"})
    assert ctx.find("tasks", "b") == {"id": "b"}
    ctx.data["tasks"] = [{"id": "c"}]
    assert ctx.find("tasks", "b") is None
    assert ctx.find("tasks", "c") == {"id": "c"}


def test_an_id_that_a_listed_kind_does_not_have_is_refused_with_those_there_are() -> None:
    ctx = Context(data={"tasks": [*ODD, {"id": "t1", "title": "Call the bank"}, {"id": "t2", "name": "n" * 500}]})
    ctx.require("tasks", "t1")
    with pytest.raises(ToolError, match=r"None of the user's tasks has this id.*t1 \(Call the bank\), t2 \(n{80}\)"):
        ctx.require("tasks", "t3")


def test_an_empty_list_knows_no_id() -> None:
    with pytest.raises(ToolError, match="There are none"):
        Context(data={"tasks": []}).require("tasks", "t1")


def test_a_refusal_is_short_however_long_the_list() -> None:
    ctx = Context(data={"tasks": [{"id": f"t{number}"} for number in range(10_000)]})
    with pytest.raises(ToolError, match="and 9970 more") as caught:
        ctx.require("tasks", "x")
    assert len(str(caught.value)) < 5_000


def test_a_kind_that_is_not_listed_takes_any_id() -> None:
    Context(data={"projects": []}).require("tasks", "t1")


@pytest.mark.parametrize(
    "value,expected",
    [
        ("2025-11-23", date(2025, 11, 23)),
        ("2025-11-23T23:30:00Z", date(2025, 11, 24)),
        ("2025-11-23T23:30:00+01:00", date(2025, 11, 23)),
        ("2025-11-23T23:30:00", date(2025, 11, 23)),
        ("9999-12-31T23:59:59Z", None),
        ("soon", None),
        ("", None),
        (None, None),
        (20251123, None),
        ([], None),
        ({}, None),
    ],
)
def test_the_local_date_of_what_a_client_may_send(value: Any, expected: date | None) -> None:
    ctx = Context(now=datetime(2025, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/Berlin")))
    assert ctx.local_date(value) == expected


def test_nothing_of_the_users_is_in_its_repr() -> None:
    ctx = Context(
        data={"tasks": ["secret"]}, history=[{"role": "user", "content": "secret"}], settings={"key": "secret"}
    )
    assert "secret" not in repr(ctx)


def test_an_id_that_was_not_given_is_not_refused() -> None:
    ctx = Context(data={"projects": []})
    ctx.require("projects", UNSET)
    ctx.require("projects", None)
