import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from adiuva.sdk import Action, Agent, Context, DefinitionError, tool


class Base(Agent):
    @tool
    def list_a(self, ctx: Context) -> list[str]:
        """List a."""
        return ["base"]

    @tool
    def list_b(self, ctx: Context) -> list[str]:
        """List b."""
        return ["base"]

    def helper(self, anything: Any) -> Any:
        return anything


def test_only_marked_methods_are_tools() -> None:
    assert list(Base().tools()) == ["list_a", "list_b"]
    assert Agent().tools() == {}


async def test_a_subclass_inherits_replaces_and_drops_tools() -> None:
    class Derived(Base):
        @tool
        def list_a(self, ctx: Context, size: int = 1) -> list[str]:
            """List a otherwise."""
            return ["derived"] * size

        def list_b(self, ctx: Context) -> list[str]:
            return []

        @tool
        def list_c(self, ctx: Context) -> list[str]:
            """List c."""
            return []

    agent = Derived()
    assert list(agent.tools()) == ["list_a", "list_c"]
    assert await agent.tools()["list_a"].call(agent, Context(), {"size": 2}) == ["derived", "derived"]
    assert list(Base().tools()) == ["list_a", "list_b"]


def test_a_mixin_brings_its_tools() -> None:
    class Mixin:
        @tool
        def list_m(self, ctx: Context) -> list[str]:
            """List m."""
            return []

    class Mixed(Mixin, Base):
        pass

    assert set(Mixed().tools()) == {"list_a", "list_b", "list_m"}


def test_the_tools_handed_out_are_a_copy() -> None:
    Base().tools().clear()
    assert len(Base().tools()) == 2


def test_a_decorated_method_keeps_its_signature() -> None:
    def logged(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return wrapper

    class Wrapped(Agent):
        @tool
        @logged
        def list_a(self, ctx: Context, size: int) -> list[str]:
            """List a."""
            return []

    assert Wrapped().tools()["list_a"].parameters["required"] == ["size"]


def _no_context(self: Any) -> None: ...
def _argument_for_context(self: Any, title: str) -> None: ...
def _no_annotation(self: Any, ctx: Context, x) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
def _varargs(self: Any, ctx: Context, *x: int) -> None: ...
def _kwargs(self: Any, ctx: Context, **x: int) -> None: ...
def _positional_only(self: Any, ctx: Context, x: int, /) -> None: ...
def _keyword_context(self: Any, *, ctx: Context) -> None: ...
def _unknown_name(self: Any, ctx: Context, x: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821
def _bad_syntax(self: Any, ctx: Context, x: "int[") -> None: ...  # type: ignore[valid-type] # noqa: F722
def _unsupported(self: Any, ctx: Context, x: complex) -> None: ...
def _wrong_default(self: Any, ctx: Context, x: int = "3") -> None: ...  # type: ignore[assignment]
def _null_default(self: Any, ctx: Context, x: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013
def _odd_default(self: Any, ctx: Context, x: Any = object()) -> None: ...  # noqa: B008
def _stray_description(self: Any, ctx: Context, x: int) -> None:  # noqa: D417
    """Do it.

    Args:
        y: There is no y.
    """


def _generator(self: Any, ctx: Context) -> Iterator[int]:
    yield 1


async def _async_generator(self: Any, ctx: Context) -> AsyncIterator[int]:
    yield 1


USAGE = "a tool takes self, then ctx: Context, then its arguments"


@pytest.mark.parametrize(
    "method,message",
    [
        (_no_context, USAGE),
        (_argument_for_context, USAGE),
        (_keyword_context, USAGE),
        (_no_annotation, "argument 'x' needs a type annotation"),
        (_varargs, "positional-only arguments are not supported"),
        (_kwargs, "positional-only arguments are not supported"),
        (_positional_only, "positional-only arguments are not supported"),
        (_unknown_name, "argument 'x': its annotation cannot be resolved: name 'Nowhere' is not defined"),
        (_bad_syntax, "argument 'x': its annotation cannot be resolved"),
        (_unsupported, "argument 'x': complex is not supported; there are str, int"),
        (_wrong_default, "argument 'x': the default '3' is not of its type"),
        (_null_default, "argument 'x': the default None is not of its type"),
        (_odd_default, "argument 'x': object has no JSON form"),
        (_stray_description, "the docstring describes y, which it does not take"),
        (_generator, "a tool is a plain or async method"),
        (_async_generator, "a tool is a plain or async method"),
        (classmethod(_no_context), "a tool is a plain or async method"),
        (staticmethod(_no_context), "a tool is a plain or async method"),
    ],
)
def test_a_tool_that_is_not_well_formed_is_told_at_class_definition(method: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=f"BrokenAgent.broken: .*{message}"):
        type("BrokenAgent", (Agent,), {"broken": tool(method)})


@pytest.mark.parametrize("name", ["_hidden", "größe", "x" * 65, "1x"])
def test_a_tool_needs_a_name_that_every_model_takes(name: str) -> None:
    def method(self: Any, ctx: Context) -> None: ...

    with pytest.raises(DefinitionError, match="64 ASCII letters"):
        type("BrokenAgent", (Agent,), {name: tool(method)})


def test_the_context_needs_no_annotation_and_may_have_any_name() -> None:
    class Lax(Agent):
        @tool
        def list_a(self, context) -> list[str]:  # type: ignore[no-untyped-def] # noqa: ANN001
            """List a."""
            return []

    assert Lax().tools()["list_a"].parameters["properties"] == {}


def test_a_tool_may_return_an_action_or_something_else() -> None:
    class Either(Agent):
        @tool
        def maybe(self, ctx: Context) -> Action | str:
            """Do it, or say why not."""
            return "no"

    assert not Either().tools()["maybe"].read_only
