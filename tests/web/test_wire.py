from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from attrs import field, frozen

from adiuva.errors import InvalidRequestError, ValidationFailedError
from adiuva.web import wire


class Color(StrEnum):
    RED = "red"


NAME: list[wire.Constraint] = [wire.Length(1, 3), wire.Pattern("[a-z]+", "lower case")]


@frozen
class Tag:
    name: str = field(validator=NAME)
    bytes: str | None = field(default=None, validator=wire.MaxBytes(4))
    stars: int | None = field(default=None, validator=wire.Range(1, 5))
    color: Color = Color.RED


@frozen
class Note:
    tags: list[Tag] = field(validator=wire.Length(0, 2))


def test_what_is_wrong_deep_inside_is_named_by_its_path() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        wire.read(Note, b'{"tags": [{"name": "ok"}, {"name": 5}]}')
    assert caught.value.errors == (("tags[1].name", "must be a string"),)


@pytest.mark.parametrize(
    "data, fault",
    [
        ({"name": ""}, ("name", "must have at least 1 characters")),
        ({"name": "abcd"}, ("name", "must have at most 3 characters")),
        ({"name": "A"}, ("name", "must be lower case")),
        ({"name": "a\n"}, ("name", "must be lower case")),
        ({"name": "a", "bytes": "\u00e9\u00e9\u00e9"}, ("bytes", "must have at most 4 bytes")),
        ({"name": "a", "bytes": "\x00"}, ("bytes", "must not contain a NUL character")),
        ({"name": "a", "stars": 0}, ("stars", "must be at least 1")),
        ({"name": "a", "stars": 6}, ("stars", "must be at most 5")),
        ({"name": "a", "color": "blue"}, ("color", 'must be "red"')),
        ([], ("body", "must be an object")),
    ],
)
def test_constraints_are_enforced(data: object, fault: tuple[str, str]) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        wire.structure(Tag, data)
    assert caught.value.errors == (fault,)


def test_too_many_items_are_refused() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        wire.structure(Note, {"tags": [{"name": "a"}] * 3})
    assert caught.value.errors == (("tags", "must have at most 2 items"),)


def test_values_at_the_bounds_and_null_are_taken() -> None:
    assert wire.structure(Tag, {"name": "abc", "bytes": "\u00e9\u00e9", "stars": 5}) == Tag("abc", "\u00e9\u00e9", 5)
    assert wire.structure(Tag, {"name": "abc", "bytes": None, "stars": None, "color": "red"}) == Tag("abc")


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        wire.load(b"{'a': 1}")


def test_everything_that_answers_hold_has_one_json_form() -> None:
    moment = datetime(2025, 11, 22, 9, 30, tzinfo=UTC)
    answer = {
        "time": moment,
        "tag": Tag("a"),
        "id": UUID(int=1),
        "blob": b"\xff\x00",
        "set": {1},
        "tuple": (Color.RED,),
        "none": None,
    }
    assert wire.dump(answer) == (
        b'{"time":"2025-11-22T09:30:00Z","tag":{"name":"a","bytes":null,"stars":null,"color":"red"},'
        b'"id":"00000000-0000-0000-0000-000000000001","blob":"/wA=","set":[1],"tuple":["red"],"none":null}'
    )


def test_a_time_elsewhere_is_told_with_its_offset() -> None:
    moment = datetime(2025, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    assert wire.dump(moment) == b'"2025-11-22T09:30:00+02:00"'


def test_what_has_no_json_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="object"):
        wire.dump(object())


def test_a_free_value_is_written_up_to_its_depth_and_no_deeper() -> None:
    def nested(depth: int) -> Any:
        return wire.load(b"[" * depth + b"]" * depth)

    assert wire.dump_free({"a": [1, "ä", None]}) == '{"a":[1,"ä",null]}'.encode()
    assert wire.dump_free(nested(wire.MAX_DEPTH)) == b"[" * wire.MAX_DEPTH + b"]" * wire.MAX_DEPTH
    with pytest.raises(TypeError):
        wire.dump_free(nested(wire.MAX_DEPTH + 1))
