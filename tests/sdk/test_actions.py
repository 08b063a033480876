from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
import pytest
from attrs import frozen

from adiuva.sdk import UNSET, Action, ToolError, Unset, changes


class Color(Enum):
    RED = "red"


@frozen(kw_only=True)
class Place:
    name: str
    at: date
    note: str | Unset = UNSET


def test_parameters_become_json() -> None:
    some_id = UUID("6f2b0c9e-1f0e-4a53-9f5e-0d3a3c1b7e21")
    berlin = timezone(timedelta(hours=1))
    action = Action(
        "create_bed",
        {
            "day": date(2025, 11, 23),
            "time": datetime(2025, 11, 23, 9, 30, tzinfo=berlin),
            "local": datetime(2025, 11, 23, 9, 30),  # noqa: DTZ001 - no offset is made up
            "color": Color.RED,
            "id": some_id,
            "place": Place(name="south", at=date(2025, 1, 1)),
            "tags": ("a", Color.RED),
            "names": {"x"},
            "nothing": None,
            "unset": UNSET,
            "deep": {"a": UNSET, "b": [{"c": UNSET}]},
        },
    )
    assert action.params == {
        "day": "2025-11-23",
        "time": "2025-11-23T08:30:00Z",
        "local": "2025-11-23T09:30:00",
        "color": "red",
        "id": str(some_id),
        "place": {"name": "south", "at": "2025-01-01"},
        "tags": ["a", "red"],
        "names": ["x"],
        "nothing": None,
        "deep": {"b": [{}]},
    }
    assert orjson.loads(orjson.dumps(action.params)) == action.params


def test_an_action_keeps_a_copy_of_its_parameters() -> None:
    params: dict[str, Any] = {"tags": []}
    action = Action("create_bed", params)
    params["tags"].append("a")
    assert action.params == {"tags": []}


@pytest.mark.parametrize("value", [object(), 1j, b"x", Place, {"x": object()}])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        Action("create_bed", {"x": value})


@pytest.mark.parametrize("asked", [True, False])
def test_a_deletion_is_always_confirmed(asked: bool) -> None:
    assert Action("delete_bed", {}, requires_confirmation=asked).requires_confirmation is True
    assert Action("create_bed", {}, requires_confirmation=asked).requires_confirmation is asked


def test_an_action_without_more_needs_no_confirmation() -> None:
    assert Action("create_bed") == Action("create_bed", {}, requires_confirmation=False)


def test_its_parameters_are_not_in_its_repr() -> None:
    assert "roses" not in repr(Action("create_bed", {"title": "roses"}))


def test_a_time_at_utc_ends_in_z() -> None:
    assert Action("x", {"at": datetime(2025, 1, 1, tzinfo=UTC)}).params == {"at": "2025-01-01T00:00:00Z"}


def test_changes_are_what_was_given_null_included() -> None:
    assert changes(title="A", due_date=None, status=UNSET) == {"title": "A", "due_date": None}


def test_no_changes_at_all_are_refused_with_what_there_is_to_change() -> None:
    with pytest.raises(ToolError, match="nothing to change: give at least one of title, due_date"):
        changes(title=UNSET, due_date=UNSET)
