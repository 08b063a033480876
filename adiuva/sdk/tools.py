"""Tools: the methods of an agent that a model may call."""

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, TypeVar, get_args, get_type_hints, overload

import attrs
from attrs import field, frozen
from cattrs import BaseValidationError

from adiuva.sdk.actions import Action, to_json
from adiuva.sdk.context import Context
from adiuva.sdk.convert import Hook, MismatchError, faults, strict_converter
from adiuva.sdk.docstrings import parse_docstring
from adiuva.sdk.errors import DefinitionError, ToolArgumentsError
from adiuva.sdk.permissions import Permission
from adiuva.sdk.schema import Schema, property_schema
from adiuva.sdk.unset import UNSET

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__adiuva_tool__"
_CONVERTER: Final = strict_converter()
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(*, permission: str | None = None, on_server: bool = False) -> Callable[[F], F]: ...


def tool(
    function: F | None = None, /, *, permission: str | None = None, on_server: bool = False
) -> F | Callable[[F], F]:
    """Let the model call this method: ``@tool``, or ``@tool(permission="write:tasks")``.

    The method takes ``self``, the request's `Context`, then the arguments that the model gives. It may be ``async``;
    one that waits for anything has to be, because a plain one runs on the server's event loop. It returns JSON-like
    data for the model to read, or an `Action` for the app to apply. For an expected fault it raises `ToolError`.

    The model learns what the tool is for from the docstring, and what to give from the annotations:

    * ``str``, ``int``, ``float``, ``bool``, ``date``, ``datetime``, ``UUID``, ``Literal``, ``Enum``, ``list[X]``,
      ``tuple[X, ...]``, ``set[X]``, ``dict[str, X]``, unions of these (``X | None``), attrs classes; `NonBlank` for
      text that must say something;
    * ``Annotated[date, "The day it is due"]``, or an ``Args:`` section in the docstring, describes an argument;
    * an argument with a default may be left out. Where "left out" and null differ, make the default `UNSET`.

    Arguments are checked before the method is called, and nothing is converted but ISO 8601 text to dates: ``"5"`` is
    no ``int``. A ``datetime`` that the model gives without an offset is taken to be in the client's time zone.

    Args:
        function: The method.
        permission: What the tool needs, as a `Permission` or its text. A tool that changes tasks needs ``write:tasks``.
        on_server: For a ``list_…`` or ``get_…`` tool that reads something else than the request's context, another
            service for instance: it always runs here. Others run at the client where it offers that (``client_tools``).

    Raises:
        DefinitionError: the permission does not exist. A fault of the signature is raised by the class statement.
    """
    try:
        mark = _Mark(permission=None if permission is None else Permission.of(permission), on_server=on_server)
    except ValueError as error:
        raise DefinitionError(str(error)) from None

    def decorate(method: F) -> F:
        setattr(method, _MARK, mark)
        return method

    return decorate if function is None else decorate(function)


@frozen(kw_only=True)
class _Mark:
    permission: Permission | None
    on_server: bool


@frozen(kw_only=True)
class _Parameter:
    name: str
    annotation: Any
    required: bool
    nullable: bool
    structure: Hook


@frozen(kw_only=True)
class Tool:
    """A tool as the server and the model know it. Made from the methods of an `Agent`; see `Agent.tools`."""

    name: str
    description: str
    parameters: Schema = field(repr=False)
    """The JSON schema of the arguments, an object."""
    permission: Permission | None
    """What a plugin needs to be granted for this tool."""
    read_only: bool
    """Whether it only reads: it returns no `Action` and needs no ``write:`` permission."""
    for_client: bool
    """Whether a client that offers it may run the tool on its own data, in place of the method."""
    _accepted: tuple[_Parameter, ...] = field(repr=False)

    async def call(self, agent: Any, ctx: Context, arguments: Mapping[str, Any]) -> Any:
        """Check ``arguments``, as the model gave them, and run the method of ``agent`` with them.

        Raises:
            ToolArgumentsError: the arguments are not what the signature asks for; the message tells the model all that
                is wrong.
            ToolError: an expected fault.
            Exception: whatever else the method raises.
        """
        checked = {name: _localised(value, ctx) for name, value in self.check(arguments).items()}
        result = getattr(agent, self.name)(ctx, **checked)
        return await result if inspect.isawaitable(result) else result

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that were given, as the method takes them. Null where it has no meaning counts as not given.

        Raises:
            ToolArgumentsError: something is missing, unknown or not of its type.
        """
        checked: dict[str, Any] = {}
        wrong = [
            f"{_quoted(name)} is not a known argument"
            for name in arguments
            if name not in self.parameters["properties"]
        ]
        for parameter in self._accepted:
            value = arguments.get(parameter.name, UNSET)
            if value is None and not parameter.required and not parameter.nullable:
                continue
            if value is not UNSET:
                try:
                    checked[parameter.name] = parameter.structure(value, parameter.annotation)
                except (MismatchError, BaseValidationError) as error:
                    wrong += [f"{_path(parameter.name, inner)} {message}" for inner, message in faults(error)]
            elif parameter.required:
                wrong.append(f"{parameter.name} is missing")
        if wrong:
            raise ToolArgumentsError(
                f"{self.name} was not run: {'; '.join(wrong)}. Call it again with correct arguments."
            )
        return checked


def tools_of(cls: type, names: Mapping[str, Any]) -> dict[str, Tool]:
    """The tools of ``cls`` by name, in the order of their definition, inherited ones first.

    ``names`` are local names that annotations may use when they are text.

    Raises:
        DefinitionError: one of them is not well-formed.
    """
    methods: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if hasattr(member, _MARK):
                methods[name] = member
            else:
                methods.pop(name, None)
    return {name: _build(cls, name, method, names) for name, method in methods.items()}


def _build(cls: type, name: str, method: Any, names: Mapping[str, Any]) -> Tool:
    try:
        return _tool(name, method, names)
    except (DefinitionError, NameError, TypeError, AttributeError) as error:
        raise DefinitionError(f"{cls.__name__}.{name}: {error}") from error


def _tool(name: str, method: Any, names: Mapping[str, Any]) -> Tool:
    if not inspect.isfunction(method) or inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
        raise DefinitionError("a tool is a plain or async method, with @tool as its outermost decorator")
    if not (name.isascii() and name[0].isalpha() and len(name) <= 64):
        raise DefinitionError(
            "a tool's name is 1 to 64 ASCII letters, digits and underscores, and starts with a letter"
        )
    signature = inspect.signature(method)
    parameters = list(signature.parameters.values())
    _check_context(parameters, method, names)
    description, descriptions = parse_docstring(method.__doc__)
    if unknown := descriptions.keys() - {parameter.name for parameter in parameters}:
        raise DefinitionError(f"the docstring describes {', '.join(sorted(unknown))}, which it does not take")
    accepted = []
    properties = {}
    for parameter in parameters[2:]:
        annotation = _annotation(parameter, method, names)
        default = attrs.NOTHING if parameter.default is parameter.empty else parameter.default
        try:
            properties[parameter.name] = property_schema(annotation, default, descriptions.get(parameter.name, ""))
            accepted.append(_parameter(parameter.name, annotation, default))
        except TypeError as error:
            raise DefinitionError(f"argument {parameter.name!r}: {error}") from error
    mark: _Mark = getattr(method, _MARK)
    permission = mark.permission
    read_only = not (permission and permission.writes) and not _returns_action(name, signature, method, names)
    return Tool(
        name=name,
        description=description or name.replace("_", " ").capitalize() + ".",
        parameters=_object(properties, [parameter.name for parameter in accepted if parameter.required]),
        permission=permission,
        read_only=read_only,
        for_client=read_only and name.startswith(("list_", "get_")) and not mark.on_server,
        accepted=tuple(accepted),
    )


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _check_context(parameters: list[inspect.Parameter], method: Any, names: Mapping[str, Any]) -> None:
    usage = "a tool takes self, then ctx: Context, then its arguments"
    if len(parameters) < 2 or any(parameter.kind not in _POSITIONAL for parameter in parameters[:2]):
        raise DefinitionError(usage)
    annotation = parameters[1].annotation
    if isinstance(annotation, str) and annotation.rpartition(".")[2] == "Context":
        return  # It may stand under TYPE_CHECKING, where it cannot be resolved; nor need it be.
    if annotation is not inspect.Parameter.empty and _resolved(annotation, method, names) is not Context:
        raise DefinitionError(usage)


def _annotation(parameter: inspect.Parameter, method: Any, names: Mapping[str, Any]) -> Any:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise DefinitionError(
            f"argument {parameter.name!r}: *args, **kwargs and positional-only arguments are not supported"
        )
    if parameter.annotation is parameter.empty:
        raise DefinitionError(f"argument {parameter.name!r} needs a type annotation")
    try:
        return _resolved(parameter.annotation, method, names)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise DefinitionError(f"argument {parameter.name!r}: its annotation cannot be resolved: {error}") from error


def _resolved(annotation: Any, method: Any, names: Mapping[str, Any]) -> Any:
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return get_type_hints(holder, method.__globals__, dict(names), include_extras=True)["it"]


def _parameter(name: str, annotation: Any, default: Any) -> _Parameter:
    structure = _CONVERTER.get_structure_hook(annotation)
    if default is not attrs.NOTHING and default is not UNSET:
        try:
            structure(to_json(default), annotation)
        except (MismatchError, BaseValidationError) as error:
            raise DefinitionError(f"the default {default!r} is not of its type") from error
    return _Parameter(
        name=name,
        annotation=annotation,
        required=default is attrs.NOTHING,
        nullable=_takes_null(structure, annotation),
        structure=structure,
    )


def _takes_null(structure: Hook, annotation: Any) -> bool:
    try:
        structure(None, annotation)
    except (MismatchError, BaseValidationError):
        return False
    return True


def _returns_action(name: str, signature: inspect.Signature, method: Any, names: Mapping[str, Any]) -> bool:
    annotation = signature.return_annotation
    if annotation is signature.empty:
        return not name.startswith(("list_", "get_"))
    if isinstance(annotation, str):
        try:
            annotation = _resolved(annotation, method, names)
        except (NameError, TypeError, SyntaxError, AttributeError):
            return "Action" in annotation
    return _mentions_action(annotation)


def _mentions_action(annotation: Any) -> bool:
    return annotation is Action or any(_mentions_action(argument) for argument in get_args(annotation))


def _localised(value: Any, ctx: Context) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=ctx.now.tzinfo)
    return value


def _path(name: str, inner: str) -> str:
    return name + (inner if inner.startswith("[") or not inner else f".{inner}")


def _quoted(name: Any) -> str:
    return repr(str(name)[:60])
