"""The cache of plans."""

from adiuva.chat.plans.builder import ExecutionPlanBuilder
from adiuva.chat.plans.cache import PlanCache
from adiuva.chat.plans.models import ExecutionPlan
from adiuva.chat.plans.templates import PromptTemplateRegistry


def plan(plan_id: str) -> ExecutionPlan:
    chain = ExecutionPlanBuilder(name="p", description="d", templates=PromptTemplateRegistry())
    return chain.add_data_step("read", "list_tasks").build(fixed_id=plan_id)


def test_a_plan_is_its_owners_alone() -> None:
    cache = PlanCache()
    cache.put("ada", plan("a"))
    assert cache.get("ada", "a") is not None
    assert cache.get("bob", "a") is None
    assert [held.plan_id for held in cache.owned_by("ada")] == ["a"]
    assert cache.owned_by("bob") == []


def test_it_holds_a_thousand_and_forgets_what_was_not_used_for_longest() -> None:
    cache = PlanCache()
    for number in range(1000):
        cache.put("ada", plan(f"{number}"))
    assert cache.get("ada", "0") is not None  # a use
    cache.put("bob", plan("new"))
    assert len(cache) == 1000
    assert cache.get("ada", "0") is not None
    assert cache.get("ada", "1") is None
    assert [held.plan_id for held in cache.owned_by("ada")[:2]] == ["0", "999"]


def test_the_same_plan_again_takes_no_more_room() -> None:
    cache = PlanCache(capacity=2)
    for _ in range(3):
        cache.put("ada", plan("a"))
    cache.put("ada", plan("b"))
    assert len(cache) == 2
    assert [held.plan_id for held in cache.owned_by("ada")] == ["b", "a"]
