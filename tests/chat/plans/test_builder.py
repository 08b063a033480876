"""Building plans, and their ids."""

from uuid import UUID

import pytest

from adiuva.chat.plans.builder import ExecutionPlanBuilder
from adiuva.chat.plans.ids import tag, tags_in
from adiuva.chat.plans.models import VARS, ExecutionPlan, InvalidPlanError, Step, wire_plan
from adiuva.chat.plans.templates import PromptTemplateRegistry

TASK = "tpl_task_agent_default"
NOTE = "tpl_note_agent_default"


def builder(name: str = "p", description: str = "d") -> ExecutionPlanBuilder:
    return ExecutionPlanBuilder(name=name, description=description, templates=PromptTemplateRegistry())


def two_steps(owner: str = "ada", name: str = "p") -> ExecutionPlan:
    chain = builder(name).add_data_step("read", "list_tasks").add_llm_step("do", TASK, data_from_step="read")
    return chain.build(owner=owner)


def test_a_plan_is_built_step_by_step() -> None:
    plan = two_steps()
    assert plan.steps == (
        Step(id="read", kind="data", action="list_tasks"),
        Step(id="do", kind="llm", template_id=TASK, vars={"message": "{{message}}"}, data_from_step="read"),
    )
    assert plan.step("do") is plan.steps[1]
    assert plan.step("nothing") is None


def test_the_wire_has_only_the_fields_of_a_steps_kind() -> None:
    wire = wire_plan(two_steps())
    assert wire["steps"] == [
        {"id": "read", "kind": "data", "action": "list_tasks"},
        {"id": "do", "kind": "llm", "template_id": TASK, "vars": VARS, "data_from_step": "read"},
    ]
    assert set(wire) == {"plan_id", "name", "description", "steps", "created_at"}


def llm(step_id: str, template_id: str | None = TASK, source: str | None = None, **more: object) -> Step:
    return Step(id=step_id, kind="llm", template_id=template_id, vars=VARS, data_from_step=source, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "steps, said",
    [
        ([], "at least one step"),
        ([llm("a"), llm("a")], "Two steps have the id 'a'"),
        ([llm("a", source="b")], "refers to 'b', which there is not"),
        ([llm("a", source="b"), llm("b")], "refers to 'b', which comes later"),
        ([llm("a", source="b"), llm("b", source="c"), llm("c", source="b")], "refers to 'b', which comes later"),
        ([llm("a", source="a")], "in a circle"),
        ([llm("a", source="b"), llm("b", source="a")], "in a circle"),
        ([llm("a", source="b"), llm("b", source="c"), llm("c", source="a")], "in a circle"),
        ([llm("a", "tpl_nobody")], "'tpl_nobody', which is unknown"),
        ([llm("a", None)], "None, which is unknown"),
        ([llm("a", action="list_tasks")], "has no action"),
        ([Step(id="a", kind="llm", template_id=TASK)], "plans hold no values"),
        ([Step(id="a", kind="llm", template_id=TASK, vars={"message": "My secret"})], "plans hold no values"),
        ([Step(id="a", kind="data")], "needs an action that reads"),
        ([Step(id="a", kind="data", action="delete_task")], "needs an action that reads"),
        ([Step(id="a", kind="data", action="list_tasks", template_id=TASK)], "no template"),
        ([Step(id="a", kind="data", action="list_tasks", vars=VARS)], "no variables"),
    ],
)
def test_what_does_not_fit_together_is_refused(steps: list[Step], said: str) -> None:
    chain = builder()
    for step in steps:
        chain.add_step(step)
    with pytest.raises(InvalidPlanError, match=said):
        chain.build()


def test_the_id_follows_from_the_steps_and_their_owner_alone() -> None:
    first = two_steps()
    assert UUID(first.plan_id).version == 8
    assert first.plan_id == two_steps(name="another name").plan_id
    assert first.plan_id != two_steps(owner="bob").plan_id
    assert first.plan_id != builder().add_llm_step("do", TASK).build(owner="ada").plan_id


def test_the_id_is_the_same_in_every_version_of_the_server() -> None:
    # Nodes of two versions serve the same clients while one is rolled out.
    assert two_steps().plan_id == "98f00000-0000-8000-8875-304da2d28c26"


def test_the_id_tells_the_templates_of_up_to_five_steps() -> None:
    assert tags_in(two_steps().plan_id) == [tag(TASK)]
    chain = builder()
    for number in range(6):
        chain.add_llm_step(f"s{number}", NOTE if number % 2 else TASK)
    assert tags_in(chain.build().plan_id) == [tag(TASK), tag(NOTE), tag(TASK), tag(NOTE), tag(TASK)]


@pytest.mark.parametrize("text", ["", "x", "generate_weekly_note", "00000000-0000-4000-8000-000000000000", "é" * 36])
def test_other_texts_are_no_ids(text: str) -> None:
    assert tags_in(text) == []
