"""The registry of prompt templates, and what the SDK takes for one."""

from typing import Any

import pytest

from adiuva.chat.plans.templates import BUILT_IN, PromptTemplateRegistry
from adiuva.errors import NotFoundError, ValidationFailedError
from adiuva.sdk import DefinitionError, PromptTemplate

GARDEN = PromptTemplate(id="tpl_garden_agent_default", agent="garden_agent", text="Dig: {{message}} {{data}}")


def test_six_are_built_in() -> None:
    assert {template.id: template.agent for template in BUILT_IN} == {
        "tpl_task_agent_default": "task_agent",
        "tpl_checkpoint_agent_default": "checkpoint_agent",
        "tpl_project_agent_default": "project_agent",
        "tpl_note_agent_default": "note_agent",
        "tpl_task_extract_from_project": "task_agent",
        "tpl_note_weekly_summary": "note_agent",
    }
    assert set(PromptTemplateRegistry().ids()) == {template.id for template in BUILT_IN}


def test_an_agent_without_a_template_has_the_general_one_and_its_own_counts_more() -> None:
    registry = PromptTemplateRegistry([GARDEN], ["garden_agent", "bee_agent", "task_agent"])
    assert registry.get("tpl_garden_agent_default") is GARDEN
    bees = registry.get("tpl_bee_agent_default")
    assert bees is not None
    assert bees.agent == "bee_agent"
    assert registry.get("tpl_task_agent_default") is BUILT_IN[0]
    assert registry.get("tpl_nobody_default") is None


def test_a_template_cannot_be_the_default_of_another_agent() -> None:
    foreign = PromptTemplate(id="tpl_bee_agent_default", agent="garden_agent", text="{{message}}")
    template = PromptTemplateRegistry([foreign], ["garden_agent", "bee_agent"]).get("tpl_bee_agent_default")
    assert template is not None
    assert template.agent == "bee_agent"


def test_a_text_is_filled() -> None:
    registry = PromptTemplateRegistry([GARDEN])
    assert registry.render(GARDEN.id, {"message": "roses", "data": "[]"}) == "Dig: roses []"


def test_a_value_brings_no_placeholder_in() -> None:
    registry = PromptTemplateRegistry([GARDEN])
    values = {"message": r"{{data}} {{message}} \1 \g<0>", "data": "{{message}}"}
    assert registry.render(GARDEN.id, values) == r"Dig: {{data}} {{message}} \1 \g<0> {{message}}"


@pytest.mark.parametrize(
    "values, faults",
    [
        ({}, [("data", "is missing"), ("message", "is missing")]),
        ({"message": "x"}, [("data", "is missing")]),
        ({"message": "x", "data": "y", "mood": "z"}, [("mood", "is no variable of this step")]),
    ],
)
def test_missing_and_unknown_variables_are_errors(values: dict[str, str], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        PromptTemplateRegistry([GARDEN]).render(GARDEN.id, values)
    assert list(caught.value.errors) == faults


def test_an_unknown_template_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        PromptTemplateRegistry().render("tpl_nobody", {"message": "x"})


def test_no_template_shows_its_text_by_accident() -> None:
    for template in (*BUILT_IN, GARDEN):
        assert template.text not in repr(template)
        assert template.text not in repr(PromptTemplateRegistry([GARDEN]))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"id": "garden"}, "a template's id is like"),
        ({"id": "tpl_"}, "a template's id is like"),
        ({"id": "tpl_Garden"}, "a template's id is like"),
        ({"id": "tpl_" + "x" * 97}, "a template's id is like"),
        ({"id": None}, "a template's id is like"),
        ({"agent": ""}, "the name of an agent"),
        ({"agent": 5}, "the name of an agent"),
        ({"text": 5}, "is a string, not int"),
        ({"text": "Dig."}, "has {{message}} in it"),
        ({"text": "{{message}} {{garden}}"}, "{{garden}} is no variable of a template; there are message, data"),
        ({"text": "{{message}} {{ data }}"}, "{{ data }} is no variable"),
        ({"text": "{{message}} {{}}"}, "{{}} is no variable"),
    ],
)
def test_a_template_that_is_not_well_formed_is_refused(wrong: dict[str, Any], said: str) -> None:
    good: dict[str, Any] = {"id": "tpl_garden", "agent": "garden_agent", "text": "{{message}}"}
    with pytest.raises(DefinitionError) as caught:
        PromptTemplate(**good | wrong)
    assert said in str(caught.value)
