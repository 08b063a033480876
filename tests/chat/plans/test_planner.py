"""From agents to plans, and from ids back to them."""

import time

import pytest

from adiuva.chat.plans.ids import plan_id
from adiuva.chat.plans.planner import Plans, kinds_of
from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import Agent, Context, tool

REGISTRY = AgentRegistry.load()


def steps(plans: Plans, *agents: str) -> list[tuple[str, str | None, str | None]]:
    """What each step does, and what it goes on from."""
    made = plans.make(agents, "ada").steps
    return [(step.id, step.action or step.template_id, step.data_from_step) for step in made]


def test_one_agent_works_on_what_its_tools_are_about() -> None:
    assert steps(Plans(REGISTRY), "task_agent") == [
        ("step_1", "list_tasks", None),
        ("step_2", "list_projects", "step_1"),
        ("step_3", "tpl_task_agent_default", "step_2"),
    ]


def test_several_agents_work_one_after_another_and_nothing_is_read_twice() -> None:
    assert steps(Plans(REGISTRY), "note_agent", "task_agent") == [
        ("step_1", "list_tasks", None),
        ("step_2", "list_projects", "step_1"),
        ("step_3", "list_notes", "step_2"),
        ("step_4", "tpl_note_agent_default", "step_3"),
        ("step_5", "tpl_task_agent_default", "step_4"),
    ]


def test_an_agent_of_other_things_reads_nothing_of_the_clients() -> None:
    class JokeAgent(Agent):
        name = "joke_agent"
        description = "Jokes."
        instructions = "Joke."

        @tool
        def tell(self, ctx: Context, joke_id: str) -> str:
            """Tell one."""
            return joke_id

    assert kinds_of(JokeAgent()) == {"jokes"}
    assert steps(Plans(AgentRegistry.of(JokeAgent())), "joke_agent") == [("step_1", "tpl_joke_agent_default", None)]


@pytest.mark.parametrize(
    "agents",
    [
        ("task_agent",),
        ("note_agent", "task_agent"),
        ("task_agent", "note_agent"),
        ("task_agent", "project_agent", "checkpoint_agent", "note_agent"),
    ],
)
def test_a_node_that_never_saw_a_plan_makes_it_again_for_its_owner_alone(agents: tuple[str, ...]) -> None:
    here, there = Plans(REGISTRY), Plans(REGISTRY)
    plan = here.make(agents, "ada")
    again = there.find(plan.plan_id, "ada")
    assert again is not None
    assert (again.plan_id, again.name, again.steps) == (plan.plan_id, plan.name, plan.steps)
    assert there.listed_for("ada")[-1] is again
    assert there.find(plan.plan_id, "bob") is None
    assert here.find(plan.plan_id, "bob") is None


def test_an_id_that_was_made_up_is_no_plan() -> None:
    plans = Plans(REGISTRY)
    known = plans.make(["task_agent"], "ada")
    forged = known.plan_id[:-1] + ("0" if known.plan_id[-1] != "0" else "1")
    assert plans.find(forged, "ada") is None
    assert plans.find(plan_id(known.steps[:-1], "ada"), "ada") is None


def test_making_a_plan_again_is_quick_however_many_agents_there_are() -> None:
    agents = [
        type(f"A{number}", (Agent,), {"name": f"a{number}", "description": "x", "instructions": "x"})()
        for number in range(200)
    ]
    registry = AgentRegistry.of(*agents)
    plan = Plans(registry).make([f"a{number}" for number in (7, 3, 150, 42, 199)], "ada")
    other = Plans(registry)
    started = time.process_time()
    assert other.find(plan.plan_id, "ada") is not None
    assert time.process_time() - started < 0.5


def test_everyone_has_the_two_playbooks_first() -> None:
    plans = Plans(REGISTRY)
    plans.make(["task_agent"], "ada")
    assert [plan.name for plan in plans.listed_for("ada")] == [
        "create_tasks_from_project",
        "generate_weekly_note",
        "task_agent",
    ]
    assert [plan.plan_id for plan in plans.listed_for("bob")] == ["create_tasks_from_project", "generate_weekly_note"]
    assert plans.find("generate_weekly_note", "ada") == Plans(REGISTRY).find("generate_weekly_note", "bob")
