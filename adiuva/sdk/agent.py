"""The base class of agents."""

import inspect
from typing import Any, ClassVar

from adiuva.sdk.tools import Tool, tools_of


class Agent:
    """One assistant with a subject of its own: derive from it, set the three texts, and write `tool` methods.

    One object serves all users, many at once: keep nothing of a request in ``self``. What the request carries is in the
    `Context` that each tool gets.

    The tools are read from the class when it is defined; one that is not well-formed raises `DefinitionError` there.
    Subclasses inherit tools; overriding one without ``@tool`` takes it away.
    """

    name: str
    """Unique on a server: lower-case letters, digits and underscores, 64 at most, a letter first; ``garden_agent``."""
    description: str
    """One sentence on what this agent is for. The router picks agents by it, and users see it."""
    instructions: str
    """The prompt. It never leaves the server: every answer is searched for it."""

    _tools: ClassVar[dict[str, Tool]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names: dict[str, Any] = {}
        frame = inspect.currentframe()
        if frame is not None and frame.f_back is not None:
            names |= frame.f_back.f_locals  # for text annotations in a class that is defined in a function
        names |= {name: member for name, member in vars(cls).items() if not inspect.isroutine(member)}
        cls._tools = tools_of(cls, names)

    def tools(self) -> dict[str, Tool]:
        """The tools by name."""
        return dict(self._tools)
