from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from attrs import field, frozen

from adiuva.sdk import (
    UNSET,
    Action,
    Agent,
    Context,
    DefinitionError,
    NonBlank,
    Permission,
    ToolArgumentsError,
    ToolError,
    Unset,
    tool,
)

BERLIN = ZoneInfo("Europe/Berlin")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@frozen(kw_only=True)
class Place:
    name: str
    heights: list[float] = field(factory=list)


class GardenAgent(Agent):
    name = "garden_agent"
    description = "Plans garden work."
    instructions = "You plan garden work."

    @tool(permission="read:tasks")
    def list_beds(self, ctx: Context, size: int = 3, color: Color = Color.RED) -> dict[str, Any]:
        """List the beds."""
        return {"user": ctx.user_id, "size": size, "color": color}

    @tool(permission=Permission.WRITE_TASKS)
    async def plant(  # noqa: D417 - the others need no description
        self,
        ctx: Context,
        title: NonBlank,
        day: date,
        place: Place | None = None,
        at: datetime | Unset = UNSET,
        until: date | Unset | None = UNSET,
        *,
        kind: Annotated[Literal["rose", "tulip"], "What to plant"] = "rose",
    ) -> Action:
        """Plant something.

        Args:
            title: What to call it.
        """
        return Action(
            "plant",
            {"title": title, "day": day, "place": place, "at": at, "until": until, "kind": kind, "by": ctx.user_id},
        )

    @tool
    def water(self, ctx: Context) -> Action | None:
        raise ToolError("There is no water.")

    @tool
    def get_secret(self, ctx: Context):  # type: ignore[no-untyped-def] # noqa: ANN201 - authors forget it
        raise RuntimeError("secret")


AGENT = GardenAgent()


async def call(name: str, arguments: Any, ctx: Context | None = None) -> Any:
    return await AGENT.tools()[name].call(AGENT, ctx or Context(user_id="u1"), arguments)


async def fault(name: str, arguments: Any) -> str:
    with pytest.raises(ToolArgumentsError) as caught:
        await call(name, arguments)
    return str(caught.value)


def test_a_tool_is_described_by_its_signature_and_docstring() -> None:
    plant = AGENT.tools()["plant"]
    assert plant.name == "plant"
    assert plant.description == "Plant something."
    assert plant.parameters["required"] == ["title", "day"]
    assert list(plant.parameters["properties"]) == ["title", "day", "place", "at", "until", "kind"]
    assert plant.parameters["properties"]["title"] == {
        "type": "string",
        "minLength": 1,
        "description": "What to call it.",
    }
    assert plant.parameters["properties"]["kind"] == {
        "type": "string",
        "enum": ["rose", "tulip"],
        "description": "What to plant",
        "default": "rose",
    }


def test_a_tool_without_arguments_takes_an_empty_object() -> None:
    assert AGENT.tools()["water"].parameters == {"type": "object", "properties": {}}


def test_a_tool_without_a_docstring_is_described_by_its_name() -> None:
    assert AGENT.tools()["get_secret"].description == "Get secret."


def test_what_reads_only_and_what_does_not() -> None:
    assert {name: each.read_only for name, each in AGENT.tools().items()} == {
        "list_beds": True,
        "plant": False,
        "water": False,
        "get_secret": True,
    }
    assert AGENT.tools()["plant"].permission is Permission.WRITE_TASKS
    assert AGENT.tools()["list_beds"].permission == "read:tasks"
    assert AGENT.tools()["water"].permission is None


async def test_a_tool_that_needs_a_write_permission_does_not_only_read() -> None:
    class Writer(Agent):
        @tool(permission="write:tasks")
        def list_and_touch(self, ctx: Context) -> list[str]:
            """List and touch."""
            return []

        @tool
        def stamp(self, ctx: Context):  # type: ignore[no-untyped-def] # noqa: ANN202 - authors forget it
            """Stamp."""

    assert not Writer().tools()["list_and_touch"].read_only
    assert not Writer().tools()["stamp"].read_only


async def test_a_plain_method_gets_checked_arguments_and_its_own_defaults() -> None:
    assert await call("list_beds", {}) == {"user": "u1", "size": 3, "color": Color.RED}
    assert await call("list_beds", {"size": 5, "color": "blue"}) == {"user": "u1", "size": 5, "color": Color.BLUE}


async def test_an_async_method_gets_python_values() -> None:
    place = {"name": "south", "heights": [1, 2.5]}
    action = await call("plant", {"title": "a", "day": "2025-11-23", "place": place, "kind": "tulip"})
    assert action.params == {
        "title": "a",
        "day": "2025-11-23",
        "place": {"name": "south", "heights": [1.0, 2.5]},
        "kind": "tulip",
        "by": "u1",
    }


async def test_nothing_given_and_null_are_two_things_where_null_has_a_meaning() -> None:
    given = {"title": "a", "day": "2025-11-23"}
    assert "until" not in (await call("plant", given)).params
    assert (await call("plant", given | {"until": None})).params["until"] is None


async def test_null_means_not_given_where_it_has_no_meaning() -> None:
    action = await call("plant", {"title": "a", "day": "2025-11-23", "at": None, "kind": None})
    assert "at" not in action.params
    assert action.params["kind"] == "rose"
    assert await fault("plant", {"title": None, "day": "2025-11-23"}) == (
        "plant was not run: title must be a string. Call it again with correct arguments."
    )


async def test_a_time_without_an_offset_is_the_clients() -> None:
    ctx = Context(now=datetime(2025, 7, 1, 12, 0, tzinfo=BERLIN))
    given = {"title": "a", "day": "2025-11-23"}
    assert (await call("plant", given | {"at": "2025-07-01T10:00"}, ctx)).params["at"] == "2025-07-01T08:00:00Z"
    assert (await call("plant", given | {"at": "2025-07-01T10:00Z"}, ctx)).params["at"] == "2025-07-01T10:00:00Z"


async def test_the_model_is_told_all_that_is_wrong_at_once() -> None:
    arguments = {
        "titel": "a",
        "title": " ",
        "day": "tomorrow",
        "place": {"heights": ["1"]},
        "kind": "oak",
        "until": 5,
    }
    assert await fault("plant", arguments) == (
        "plant was not run: 'titel' is not a known argument; title must not be empty; "
        "day must be a date like 2025-11-23; place.name is missing; place.heights[0] must be a number; "
        'until must be a date like 2025-11-23; kind must be one of "rose", "tulip". '
        "Call it again with correct arguments."
    )
    assert await fault("plant", {}) == (
        "plant was not run: title is missing; day is missing. Call it again with correct arguments."
    )


@pytest.mark.parametrize("size", ["5", 5.0, True, [], {}, "x"])
async def test_no_argument_is_made_what_it_is_not(size: Any) -> None:
    assert "size must be an integer" in await fault("list_beds", {"size": size})


async def test_an_absurd_argument_name_is_cut_short() -> None:
    assert len(await fault("list_beds", {"x" * 100_000: 1})) < 200


async def test_an_expected_fault_and_a_bug_both_come_out_as_they_are() -> None:
    with pytest.raises(ToolError, match="There is no water"):
        await call("water", {})
    with pytest.raises(RuntimeError, match="secret"):
        await call("get_secret", {})


async def test_wrong_arguments_are_a_kind_of_tool_error() -> None:
    assert issubclass(ToolArgumentsError, ToolError)


def test_the_method_itself_stays_as_it_is() -> None:
    assert AGENT.list_beds(Context(user_id="u2"), size=1) == {"user": "u2", "size": 1, "color": Color.RED}


def test_a_permission_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(DefinitionError, match="'write:everything' is no permission; there are read:tasks, write:tasks"):
        tool(permission="write:everything")
