from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from attrs import Attribute, field, frozen
from cattrs import BaseValidationError, StructureHandlerNotFoundError
from cattrs.strategies import configure_tagged_union
from hypothesis import given
from hypothesis import strategies as st

from adiuva.sdk import NonBlank, Unset
from adiuva.sdk.convert import MismatchError, faults, strict_converter

CONVERTER = strict_converter()
SOME_ID = "6f2b0c9e-1f0e-4a53-9f5e-0d3a3c1b7e21"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(StrEnum):
    BIG = "big"


class Level(IntEnum):
    ONE = 1


def _is_short(_: object, attribute: "Attribute[str]", value: str) -> None:
    if len(value) > 3:
        raise MismatchError("must have at most 3 characters", field=attribute.name)


@frozen(kw_only=True)
class Entry:
    role: Literal["user", "assistant"]
    count: int = 1


@frozen(kw_only=True)
class Request:
    name: str
    entries: list[Entry] = field(factory=list)
    options: dict[str, int] = field(factory=dict)
    context: dict[str, Any] = field(factory=dict)
    model: str | None = None
    parent: "Request | None" = None
    code: str = field(default="", validator=_is_short)


def structure(value: Any, cls: Any) -> Any:
    return CONVERTER.structure(value, cls)


def faults_of(value: Any, cls: Any) -> list[tuple[str, str]]:
    with pytest.raises((MismatchError, BaseValidationError)) as caught:
        structure(value, cls)
    return faults(caught.value)


@pytest.mark.parametrize(
    "value,cls",
    [
        ("5", int),
        ("5", float),
        ("true", bool),
        ("false", bool),
        ("", bool),
        (None, str),
        (None, int),
        (None, bool),
        (None, list),
        (None, dict[str, Any]),
        (1, bool),
        (0, bool),
        (True, int),
        (True, float),
        (True, str),
        (5, str),
        (5.0, int),
        (5.5, int),
        (float("nan"), float),
        (float("inf"), float),
        (10**400, float),
        ("a", list[str]),
        ({"a": 1}, list[str]),
        ((1,), list[int]),
        ("ab", tuple[str, ...]),
        ("ab", set[str]),
        ([["a", 1]], dict[str, int]),
        ("{}", dict),
        ([], Mapping[str, int]),
        ({1: 1}, dict[str, int]),
        (5, bytes),
        ("not base64!", bytes),
        ("é", bytes),
        ("red", Level),
        (True, Level),
        (1.0, Level),
        ("RED", Color),
        (None, Color),
        (["red"], Color),
        (True, Literal[1]),
        (1, Literal[True]),
        (1.0, Literal[1]),
        ({}, Literal["a"]),
        ("5", int | None),
        ("x", int | float),
        ([], Entry),
        ("x", Entry),
        (None, Entry),
        ("", NonBlank),
        (" \n\t", NonBlank),
        ("unset", int | Unset),
    ],
)
def test_nothing_is_made_what_it_is_not(value: Any, cls: Any) -> None:
    assert faults_of(value, cls)


@pytest.mark.parametrize(
    "value,cls,expected",
    [
        ("5", str, "5"),
        (5, int, 5),
        (10**30, int, 10**30),
        (5, float, 5.0),
        (5.5, float, 5.5),
        (True, bool, True),
        ("red", Color, Color.RED),
        ("big", Size, Size.BIG),
        (1, Level, Level.ONE),
        (1, Literal[True, 1], 1),
        ("blue", Literal[Color.RED, Color.BLUE], Color.BLUE),
        (None, Optional[int], None),  # noqa: UP045 - this spelling too
        (5, float | int, 5),
        (5.5, int | float, 5.5),
        ("2025-11-23", date | str, date(2025, 11, 23)),
        ("soon", date | str, "soon"),
        ([1, 2], list[int], [1, 2]),
        ([1, "a"], list, [1, "a"]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 1], frozenset[int], frozenset({1})),
        ({"a": {"b": [None]}}, dict[str, Any], {"a": {"b": [None]}}),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ({"a": 1}, Any, {"a": 1}),
        ("AAE=", bytes, b"\x00\x01"),
        ("a", Annotated[str, "described"], "a"),
        (" a ", Annotated[NonBlank, "described"], " a "),
        ("a", str | Unset, "a"),
        (SOME_ID, UUID, UUID(SOME_ID)),
        ({"role": "user", "unknown": 1}, Entry, Entry(role="user")),
        ({"name": "a", "parent": {"name": "b"}}, Request, Request(name="a", parent=Request(name="b"))),
    ],
)
def test_what_fits_comes_out_as_its_type(value: Any, cls: Any, expected: Any) -> None:
    result = structure(value, cls)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("text", ["2025-11-23", "0001-01-01", "9999-12-31"])
def test_a_date_is_iso_text(text: str) -> None:
    assert structure(text, date) == date.fromisoformat(text)


@pytest.mark.parametrize(
    "value",
    [
        "tomorrow",
        "",
        "20251123",
        "2025-W47-7",
        "2025-13-01",
        "2025-02-30",
        "2025-11-23T00:00:00",
        " 2025-11-23",
        "2025-11-23\n",
        "٢٠٢٥-11-23",
        20251123,
        None,
        date(2025, 11, 23),
    ],
)
def test_nothing_else_is_a_date(value: Any) -> None:
    assert faults_of(value, date) == [("", "must be a date like 2025-11-23")]


@pytest.mark.parametrize(
    "text,expected",
    [
        ("2025-11-23T09:30:00Z", datetime(2025, 11, 23, 9, 30, tzinfo=UTC)),
        ("2025-11-23t09:30:00z", datetime(2025, 11, 23, 9, 30, tzinfo=UTC)),
        ("2025-11-23 09:30:00.25+01:00", datetime(2025, 11, 23, 9, 30, 0, 250000, timezone(timedelta(hours=1)))),
        ("2025-11-23T09:30:00.123456789Z", datetime(2025, 11, 23, 9, 30, 0, 123456, UTC)),
        ("2025-11-23T09:30", datetime(2025, 11, 23, 9, 30)),  # noqa: DTZ001 - no offset given, none made up
    ],
)
def test_a_datetime_is_iso_text(text: str, expected: datetime) -> None:
    assert structure(text, datetime) == expected


@pytest.mark.parametrize(
    "value",
    ["2025-11-23", "now", "2025-11-23T25:00:00Z", "2025-11-23T09:30:00+25:00", "2025-11-23T09Z", 1732354200, None],
)
def test_nothing_else_is_a_datetime(value: Any) -> None:
    assert faults_of(value, datetime) == [("", "must be a date and time like 2025-11-23T09:30:00Z")]


@pytest.mark.parametrize("value", [SOME_ID.replace("-", ""), f"{{{SOME_ID}}}", f"urn:uuid:{SOME_ID}", "x", 5, None])
def test_a_uuid_is_written_in_one_way(value: Any) -> None:
    assert faults_of(value, UUID) == [("", "must be a UUID")]


def test_every_fault_is_told_with_its_field() -> None:
    value = {
        "name": 1,
        "entries": [{"role": "user"}, {"role": "system"}, {"count": "1"}, 3],
        "options": {"a": 1, "b": "2"},
        "context": [],
        "model": 5,
        "parent": {"entries": {}},
    }
    assert faults_of(value, Request) == [
        ("name", "must be a string"),
        ("entries[1].role", 'must be one of "user", "assistant"'),
        ("entries[2].role", "is missing"),
        ("entries[2].count", "must be an integer"),
        ("entries[3]", "must be an object"),
        ("options.b", "must be an integer"),
        ("context", "must be an object"),
        ("model", "must be a string"),
        ("parent.name", "is missing"),
        ("parent.entries", "must be a list"),
    ]


def test_a_validator_names_its_own_field() -> None:
    assert faults_of({"name": "a", "parent": {"name": "b", "code": "long"}}, Request) == [
        ("parent.code", "must have at most 3 characters")
    ]


def test_the_members_of_a_union_are_told_together() -> None:
    assert faults_of("x", int | float) == [("", "must be an integer or a number")]


@pytest.mark.parametrize("cls", [tuple[int, str], complex, type("Text", (str,), {})])
def test_a_type_that_json_does_not_have_is_refused(cls: Any) -> None:
    with pytest.raises(StructureHandlerNotFoundError):
        structure(["a"], cls)


@pytest.mark.parametrize("cls", [int, int | str, Entry])
def test_a_hook_registered_later_wins(cls: Any) -> None:
    converter = strict_converter()
    converter.register_structure_hook(cls, lambda _, __: "mine")
    assert converter.structure(5, cls) == "mine"


def test_a_tagged_union_may_be_configured_on_it() -> None:
    converter = strict_converter()
    union: Any = Entry | Request
    configure_tagged_union(union, converter, tag_name="type")
    assert converter.structure({"type": "Request", "name": "a"}, union) == Request(name="a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "entries", "role", "count", "options", "parent", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_either_taken_or_told_what_is_wrong(value: Any) -> None:
    try:
        result = structure(value, Request)
    except Exception as error:  # noqa: BLE001 - that it can be explained is what is tested
        found = faults(error)
        assert found
        assert all(message and message != "is not valid" for _, message in found)
    else:
        assert type(result.name) is str
        assert all(type(count) is int for count in result.options.values())
