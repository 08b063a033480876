"""An author's module that has all annotations as text."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from attrs import frozen

from adiuva.sdk import UNSET, Agent, DefinitionError, Unset, tool

if TYPE_CHECKING:
    from decimal import Decimal

    from adiuva.sdk import Action, Context

Kind = Literal["rose", "tulip"]


@frozen(kw_only=True)
class Place:
    name: str
    kind: Kind | None = None


class GardenAgent(Agent):
    class Size(Enum):
        BIG = "big"

    @tool
    def list(
        self,
        ctx: Context,
        sizes: list[Size],
        place: Place,
        kind: Annotated[Kind | Unset, "What grows there"] = UNSET,
    ) -> list[dict[str, Any]]:
        """List the beds."""
        return [{"sizes": sizes, "place": place, "kind": kind}]

    @tool
    def plant(self, ctx: Context, count: int = 1) -> Action:
        """Plant something."""
        raise NotImplementedError


async def test_annotations_that_are_text_are_resolved() -> None:
    agent = GardenAgent()
    tools = agent.tools()
    assert tools["list"].parameters == {
        "type": "object",
        "properties": {
            "sizes": {"type": "array", "items": {"type": "string", "enum": ["big"]}},
            "place": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "kind": {"type": "string", "enum": ["rose", "tulip"]}},
                "required": ["name"],
            },
            "kind": {"type": "string", "enum": ["rose", "tulip"], "description": "What grows there"},
        },
        "required": ["sizes", "place"],
    }
    ctx: Any = None
    assert tools["list"].check({"sizes": ["big"], "place": {"name": "south"}}) == {
        "sizes": [GardenAgent.Size.BIG],
        "place": Place(name="south"),
    }
    assert tools["list"].read_only
    assert ctx is None


def test_the_context_and_the_result_may_be_imported_for_type_checking_only() -> None:
    assert not GardenAgent().tools()["plant"].read_only


def test_names_of_the_function_that_defines_the_class_are_known() -> None:
    Local = Literal["a", "b"]  # noqa: N806 - a type

    class LocalAgent(Agent):
        @tool
        def list_a(self, ctx: Context, kind: Local) -> list[str]:
            """List a."""
            return []

    assert LocalAgent().tools()["list_a"].parameters["properties"]["kind"]["enum"] == ["a", "b"]


def test_a_name_that_is_imported_for_type_checking_only_cannot_be_an_argument() -> None:
    with pytest.raises(
        DefinitionError, match="'price': its annotation cannot be resolved: name 'Decimal' is not defined"
    ):

        class BrokenAgent(Agent):
            @tool
            def list_a(self, ctx: Context, price: Decimal) -> list[str]:
                """List a."""
                return []
