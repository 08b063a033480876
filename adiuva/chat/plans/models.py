"""Plans and their steps. Data only, and nothing in it that a user wrote."""

from datetime import datetime
from typing import Any, Final, Literal

from attrs import asdict, frozen

from adiuva.errors import AdiuvaError

VARS: Final = {"message": "{{message}}"}
"""The variables of every llm step: names for values that only the client has."""


class InvalidPlanError(AdiuvaError):
    """The plan's steps do not fit together."""

    code = "invalid_plan"


@frozen(kw_only=True)
class Step:
    """One step: ``llm`` runs ``template_id`` on the server, ``data`` is an ``action`` that reads the client's own data.

    ``data_from_step`` is the earlier step whose data this one goes on from.
    """

    id: str
    kind: Literal["llm", "data"]
    template_id: str | None = None
    vars: dict[str, str] | None = None
    action: str | None = None
    data_from_step: str | None = None


@frozen(kw_only=True)
class ExecutionPlan:
    """Steps in the order in which they run; made by `ExecutionPlanBuilder`, which has checked them."""

    plan_id: str
    name: str
    description: str
    steps: tuple[Step, ...]
    created_at: datetime

    def step(self, step_id: str) -> Step | None:
        """The step of that id; None if there is none."""
        return next((step for step in self.steps if step.id == step_id), None)


def wire_plan(plan: ExecutionPlan) -> dict[str, Any]:
    """A plan as the wire shows it, wherever it goes out."""
    return {
        "plan_id": plan.plan_id,
        "name": plan.name,
        "description": plan.description,
        "steps": [wire_step(step) for step in plan.steps],
        "created_at": plan.created_at,
    }


def wire_step(step: Step) -> dict[str, Any]:
    """A step as the wire shows it: without the fields that its kind has not."""
    return asdict(step, filter=lambda _, value: value is not None)
