"""Everything of an answer passes here on its way out: the sanitizer takes out what is the server's own."""

from typing import Any

import attrs

from adiuva.chat.messages import ChatResult, ProducedAction, ToolOutcome
from adiuva.chat.plans.models import ExecutionPlan
from adiuva.chat.sanitizer import Sanitizer
from adiuva.chat.sanitizer_values import ValueCleaner


class Outgoing:
    """One streamed answer. All that `text` and `end` give, joined, is ``response``; ``actions`` are those given out."""

    def __init__(self, sanitizer: Sanitizer) -> None:
        """``sanitizer`` knows the prompts that are loaded."""
        self._stream = sanitizer.stream()
        self._values = sanitizer.values()
        self._texts: list[str] = []
        self.actions: list[ProducedAction] = []

    @property
    def response(self) -> str:
        """The text that has gone out."""
        return "".join(self._texts)

    def text(self, piece: str) -> str:
        """What may go out now that ``piece`` has come; the rest is held back until more has."""
        return self._keep(self._stream.feed(piece))

    def end(self) -> str:
        """What was held back."""
        return self._keep(self._stream.finish())

    def action(self, action: ProducedAction) -> ProducedAction:
        """The action as it may go out."""
        clean = _clean_action(self._values, action)
        self.actions.append(clean)
        return clean

    def params(self, params: dict[str, Any]) -> dict[str, Any]:
        """A tool call's arguments as they may go out."""
        clean: dict[str, Any] = self._values.clean(params)
        return clean

    def _keep(self, text: str) -> str:
        if text:
            self._texts.append(text)
        return text


def _clean_action(values: ValueCleaner, action: ProducedAction) -> ProducedAction:
    return ProducedAction(
        id=action.id,
        action=action.action,
        params=values.clean(action.params),
        requires_confirmation=action.requires_confirmation,
    )


def clean_result(sanitizer: Sanitizer, result: ChatResult) -> ChatResult:
    """A whole answer as it may go out; what agents leave each other does not."""
    values = sanitizer.values()
    return ChatResult(
        response=sanitizer.text(result.response),
        actions=tuple([_clean_action(values, action) for action in result.actions]),
        usage=result.usage,
        plan=clean_plan(sanitizer, result.plan) if result.plan else None,
        outcome=clean_outcome(sanitizer, result.outcome) if result.outcome else None,
    )


def clean_outcome(sanitizer: Sanitizer, outcome: ToolOutcome) -> ToolOutcome:
    """What came of a tool call as it may go out."""
    return attrs.evolve(outcome, value=sanitizer.value(outcome.value))


def clean_plan(sanitizer: Sanitizer, plan: ExecutionPlan) -> ExecutionPlan:
    """A plan as it may go out; its steps are made of ids."""
    return attrs.evolve(plan, name=sanitizer.value(plan.name), description=sanitizer.value(plan.description))
