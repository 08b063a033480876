"""Building plans."""

import re
from typing import Final, Self

from adiuva import clock
from adiuva.chat.plans.ids import plan_id
from adiuva.chat.plans.models import VARS, ExecutionPlan, InvalidPlanError, Step
from adiuva.chat.plans.templates import PromptTemplateRegistry

_READING: Final = re.compile(r"(list|get)_[a-z0-9_]+")


class ExecutionPlanBuilder:
    """Puts a plan together, step by step.

    Example:
        plan = (
            ExecutionPlanBuilder(name="Tidy up", description="…", templates=templates)
            .add_data_step("tasks", "list_tasks")
            .add_llm_step("tidy", "tpl_task_agent_default", data_from_step="tasks")
            .build(owner=user_id)
        )
    """

    def __init__(self, *, name: str, description: str, templates: PromptTemplateRegistry) -> None:
        """``templates`` are those that llm steps may name."""
        self._name = name
        self._description = description
        self._templates = templates
        self._steps: list[Step] = []

    def add_step(self, step: Step) -> Self:
        """Add ``step`` to the end."""
        self._steps.append(step)
        return self

    def add_llm_step(self, step_id: str, template_id: str, *, data_from_step: str | None = None) -> Self:
        """Add a step that the server runs with a template."""
        return self.add_step(
            Step(id=step_id, kind="llm", template_id=template_id, vars=dict(VARS), data_from_step=data_from_step)
        )

    def add_data_step(self, step_id: str, action: str, *, data_from_step: str | None = None) -> Self:
        """Add a step in which the client reads its own data; ``action`` is ``list_…`` or ``get_…``."""
        return self.add_step(Step(id=step_id, kind="data", action=action, data_from_step=data_from_step))

    def build(self, *, owner: str = "", fixed_id: str | None = None) -> ExecutionPlan:
        """The plan, whose id is derived from its steps and its owner, unless it is one with a name for an id.

        Raises:
            InvalidPlanError: there is no step; two have one id; one is not what its kind has to be; a template is not
                known; a step refers to one that there is not, to a later one, or in a circle.
        """
        if not self._steps:
            raise InvalidPlanError("A plan has at least one step.")
        seen: set[str] = set()
        for step in self._steps:
            if step.id in seen:
                raise InvalidPlanError(f"Two steps have the id {step.id!r}.")
            self._check_kind(step)
            self._check_reference(step, seen)
            seen.add(step.id)
        return ExecutionPlan(
            plan_id=fixed_id or plan_id(self._steps, owner),
            name=self._name,
            description=self._description,
            steps=tuple(self._steps),
            created_at=clock.now(),
        )

    def _check_kind(self, step: Step) -> None:
        if step.kind == "data":
            if step.template_id is not None or step.vars is not None:
                raise InvalidPlanError(f"The data step {step.id!r} has no template and no variables.")
            if step.action is None or not _READING.fullmatch(step.action):
                raise InvalidPlanError(f"The data step {step.id!r} needs an action that reads: list_… or get_….")
            return
        if step.action is not None:
            raise InvalidPlanError(f"The llm step {step.id!r} has no action.")
        if step.template_id is None or self._templates.get(step.template_id) is None:
            raise InvalidPlanError(
                f"The llm step {step.id!r} names the template {step.template_id!r}, which is unknown."
            )
        if step.vars != VARS:
            raise InvalidPlanError(f"The variables of the llm step {step.id!r} are {VARS}: plans hold no values.")

    def _check_reference(self, step: Step, earlier: set[str]) -> None:
        wanted = step.data_from_step
        if wanted is None or wanted in earlier:
            return
        references = {other.id: other.data_from_step for other in self._steps}
        if wanted not in references:
            raise InvalidPlanError(f"The step {step.id!r} refers to {wanted!r}, which there is not.")
        at: str | None = wanted
        passed: set[str] = set()
        while at is not None and at not in passed:
            if at == step.id:
                raise InvalidPlanError(f"The step {step.id!r} refers to itself in a circle.")
            passed.add(at)
            at = references.get(at)
        raise InvalidPlanError(f"The step {step.id!r} refers to {wanted!r}, which comes later.")
