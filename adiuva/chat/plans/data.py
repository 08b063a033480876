"""What a client sends as the data of a step, as the context and the earlier results that an agent works with."""

from typing import Any, Final

import orjson

from adiuva.chat.models import check_context
from adiuva.chat.plans.models import ExecutionPlan, Step
from adiuva.errors import ValidationFailedError
from adiuva.sdk.convert import MismatchError

RESULTS: Final = "previous_results"
_MACHINERY: Final = frozenset({"now", "timezone", "plugins"})  # of no use to a model, or none of its business


def step_data(data: Any, plan: ExecutionPlan, step: Step) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """The context, and the results of earlier llm steps, that ``data`` holds.

    Clients send an object in the shape of the chat's context, with ``previous_results`` in it. What the step's
    ``data_from_step`` gave will do just as well, as it is: a list, an object, or the answer of an llm step.

    Raises:
        ValidationFailedError: it is none of these, or too large.
    """
    context = _as_context(data, plan.step(step.data_from_step or ""))
    results = context.pop(RESULTS, [])
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ValidationFailedError([(f"data.{RESULTS}", "must be a list of objects")])
    for index, result in enumerate(results):
        if not isinstance(result.get("actions", []), list):
            raise ValidationFailedError([(f"data.{RESULTS}[{index}].actions", "must be a list")])
    try:
        check_context("data", {**context, RESULTS: results})
    except MismatchError as error:
        raise ValidationFailedError([(error.field or "data", error.message)]) from None
    return context, tuple(results)


def data_text(context: dict[str, Any], results: tuple[dict[str, Any], ...]) -> str:
    """The data as a template shows it to the model."""
    shown: dict[str, Any] = {name: value for name, value in context.items() if name not in _MACHINERY}
    if results:
        shown[RESULTS] = results
    return orjson.dumps(shown).decode()


def _as_context(data: Any, source: Step | None) -> dict[str, Any]:
    if data is None:
        return {}
    if source is not None and source.kind == "llm":
        return _after_an_answer(data)
    noun = source.action.partition("_")[2] if source is not None and source.action else ""
    if isinstance(data, list) and noun:
        return {noun: data}
    if isinstance(data, dict):
        return {f"{noun}s": [data]} if noun and "id" in data else dict(data)
    raise ValidationFailedError([("data", "must be an object")])


def _after_an_answer(data: Any) -> dict[str, Any]:
    if isinstance(data, str):
        return {RESULTS: [{"response": data}]}
    if not isinstance(data, dict):
        raise ValidationFailedError([("data", "must be an object")])
    if isinstance(data.get("output"), str) and RESULTS not in data:
        rest = {name: value for name, value in data.items() if name not in {"output", "actions", "usage"}}
        return {**rest, RESULTS: [{"response": data["output"], "actions": data.get("actions", [])}]}
    return dict(data)
