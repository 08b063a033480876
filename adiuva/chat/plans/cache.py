"""The plans that users had made lately."""

from collections import OrderedDict
from typing import Final

from adiuva.chat.plans.models import ExecutionPlan

CAPACITY: Final = 1000


class PlanCache:
    """Holds the plans that were used last, of all users together. Each is given to its owner alone."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """``capacity`` is how many plans are held; the one that was not used for longest goes first."""
        self._capacity = capacity
        self._plans: OrderedDict[tuple[str, str], ExecutionPlan] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def put(self, owner: str, plan: ExecutionPlan) -> None:
        """Hold ``plan`` for ``owner``; it takes the place of an equal one."""
        self._plans[owner, plan.plan_id] = plan
        self._plans.move_to_end((owner, plan.plan_id))
        if len(self._plans) > self._capacity:
            self._plans.popitem(last=False)

    def get(self, owner: str, plan_id: str) -> ExecutionPlan | None:
        """The plan of that id, if it is here and ``owner``'s; this counts as a use."""
        plan = self._plans.get((owner, plan_id))
        if plan is not None:
            self._plans.move_to_end((owner, plan_id))
        return plan

    def owned_by(self, owner: str) -> list[ExecutionPlan]:
        """All plans of ``owner`` that are here, the last used first."""
        return [plan for (user, _), plan in reversed(self._plans.items()) if user == owner]
