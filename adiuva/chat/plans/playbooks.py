"""The built-in playbooks: plans that every user has, with names for ids."""

from datetime import UTC, datetime
from typing import Final

from attrs import evolve

from adiuva.chat.plans.builder import ExecutionPlanBuilder
from adiuva.chat.plans.models import ExecutionPlan
from adiuva.chat.plans.templates import PromptTemplateRegistry

WRITTEN: Final = datetime(2026, 11, 22, tzinfo=UTC)  # not when the server started, which differs from node to node


def built_in_playbooks(templates: PromptTemplateRegistry) -> tuple[ExecutionPlan, ...]:
    """All of them; ``templates`` has the built-in templates."""
    plans = (
        ExecutionPlanBuilder(
            name="create_tasks_from_project",
            description="Reads a project of the user's choice and creates tasks for what is still open in it.",
            templates=templates,
        )
        .add_data_step("project", "get_project")
        .add_data_step("checkpoints", "list_checkpoints", data_from_step="project")
        .add_data_step("notes", "list_notes", data_from_step="checkpoints")
        .add_data_step("tasks", "list_tasks", data_from_step="notes")
        .add_llm_step("create_tasks", "tpl_task_extract_from_project", data_from_step="tasks")
        .build(fixed_id="create_tasks_from_project"),
        ExecutionPlanBuilder(
            name="generate_weekly_note",
            description="Writes a note on the week: what was finished, what is under way, what comes next.",
            templates=templates,
        )
        .add_data_step("projects", "list_projects")
        .add_data_step("tasks", "list_tasks", data_from_step="projects")
        .add_data_step("checkpoints", "list_checkpoints", data_from_step="tasks")
        .add_data_step("notes", "list_notes", data_from_step="checkpoints")
        .add_llm_step("write_note", "tpl_note_weekly_summary", data_from_step="notes")
        .build(fixed_id="generate_weekly_note"),
    )
    return tuple(evolve(plan, created_at=WRITTEN) for plan in plans)
