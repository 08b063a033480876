"""Prompt templates: what the model is told when a step of a plan runs."""

import re
from typing import Final

from attrs import Attribute, field, frozen

from adiuva.sdk.errors import DefinitionError

VARIABLES: Final = ("message", "data")
PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)

_ID = re.compile(r"tpl_[a-z0-9_]{1,96}")


def _check_id(_: object, __: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise DefinitionError(
            f"a template's id is like 'tpl_garden_agent_default', 100 characters at most, not {value!r}"
        )


def _check_agent(_: object, __: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not value:
        raise DefinitionError("a template's agent is the name of an agent")


def _check_text(_: object, __: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise DefinitionError(f"a template's text is a string, not {type(value).__name__}")
    found = PLACEHOLDER.findall(value)
    for name in found:
        if name not in VARIABLES:
            raise DefinitionError(f"{{{{{name}}}}} is no variable of a template; there are {', '.join(VARIABLES)}")
    if "message" not in found:
        raise DefinitionError("a template's text has {{message}} in it, which is what the user says")


@frozen(kw_only=True)
class PromptTemplate:
    """What an agent is told when it runs a step of a plan.

    The step runs with the agent's own instructions and tools; the text takes the place of the user's message. In it
    ``{{message}}``, which it must have, stands for what the user said, and ``{{data}}`` for what the client has read
    for this step, as JSON. Clients see the id alone; the text never leaves the server.

    The template ``tpl_<agent>_default`` is the one that plans for this agent use; without one the server has a general
    one.

    Raises:
        DefinitionError: the id is not well-formed, or the text has a placeholder that there is not.
    """

    id: str = field(validator=_check_id)
    agent: str = field(validator=_check_agent)
    text: str = field(repr=False, validator=_check_text)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the placeholders in the text."""
        return frozenset(PLACEHOLDER.findall(self.text))
