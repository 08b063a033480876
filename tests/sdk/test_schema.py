from datetime import date, datetime
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, Optional, TypedDict, TypeVar
from uuid import UUID

import attrs
import pytest
from attrs import define, field, frozen

from adiuva.sdk import UNSET, DefinitionError, NonBlank, Unset
from adiuva.sdk.schema import property_schema, schema_of


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    ONE = 1
    TWO = 2


@frozen(kw_only=True)
class Place:
    """Where something is.

    Attributes:
        name: What people call it.
    """

    name: str
    height: Annotated[float, "In metres"] = 0.0
    tags: list[str] = field(factory=list)
    color: Color = Color.RED
    secret: int = field(default=0, init=False)


@define
class Loop:
    inner: "Loop | None" = None


@define
class Untyped:
    x = field()  # type: ignore[var-annotated] # the lack of it is tested


class Typed(TypedDict):
    x: int


@pytest.mark.parametrize(
    "annotation,schema",
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (date, {"type": "string", "format": "date"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Any, {}),
        (NonBlank, {"type": "string", "minLength": 1}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Literal[Color.RED], {"type": "string", "enum": ["red"]}),
        (Color, {"type": "string", "enum": ["red", "blue"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (set[Color], {"type": "array", "items": {"type": "string", "enum": ["red", "blue"]}}),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 - this spelling too
        (str | Unset, {"type": "string"}),
        (date | Unset | None, {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
        (Annotated[int, "How many"], {"type": "integer", "description": "How many"}),
        (Annotated[NonBlank, "Its name"], {"type": "string", "minLength": 1, "description": "Its name"}),
    ],
)
def test_the_schema_of_a_type(annotation: Any, schema: dict[str, Any]) -> None:
    assert schema_of(annotation) == schema


def test_an_attrs_class_is_an_object_of_its_fields() -> None:
    assert schema_of(Place) == {
        "description": "Where something is.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "What people call it."},
            "height": {"type": "number", "description": "In metres", "default": 0.0},
            "tags": {"type": "array", "items": {"type": "string"}},
            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        },
        "required": ["name"],
    }


def test_the_text_nearest_to_an_argument_describes_it() -> None:
    assert property_schema(Place, attrs.NOTHING, "From Args")["description"] == "From Args"
    assert property_schema(Annotated[Place, "Its own"], attrs.NOTHING, "From Args")["description"] == "Its own"


@pytest.mark.parametrize("annotation", [date | None, Annotated[date | None, "x"], date | Unset | None])
def test_null_is_no_choice_where_it_says_the_same_as_nothing(annotation: Any) -> None:
    schema = property_schema(annotation, None, "x")
    assert schema == {"type": "string", "format": "date", "description": "x"}


def test_a_default_is_shown_where_it_is_a_value() -> None:
    assert property_schema(int, 3, "")["default"] == 3
    assert property_schema(Color, Color.BLUE, "")["default"] == "blue"
    assert property_schema(date, date(2025, 1, 1), "")["default"] == "2025-01-01"
    assert "default" not in property_schema(int | Unset, UNSET, "")
    assert "default" not in property_schema(int | None, None, "")


@pytest.mark.parametrize(
    "annotation,message",
    [
        (complex, "complex is not supported; there are str, int"),
        (bytes, "bytes is not supported"),
        (object, "object is not supported"),
        (Typed, "Typed is not supported"),
        (tuple[int, str], "not supported"),
        (TypeVar("T"), "not supported"),
        ([int], "not supported"),
        (list[complex], "complex is not supported"),
        (dict[int, str], "the keys of a dict must be str, not int"),
        (Literal[b"a"], "choices must be strings, numbers or booleans"),
        (Enum("Empty", {}), "choices must be"),
        (Loop, "Loop contains itself"),
        (Untyped, "Untyped.x needs a type annotation"),
        (Unset, "Unset is not supported"),
    ],
)
def test_what_has_no_schema_is_refused_by_name(annotation: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        schema_of(annotation)
