"""Plans over HTTP: the playbook, and running one step."""

from typing import Any

import attrs
from aiohttp import web
from attrs import field, frozen

from adiuva.chat.messages import ChatJob
from adiuva.chat.outgoing import clean_plan
from adiuva.chat.plans.data import data_text, step_data
from adiuva.chat.plans.models import ExecutionPlan, Step, wire_plan
from adiuva.chat.plans.templates import PromptTemplateRegistry
from adiuva.chat.service import CHAT, Chat
from adiuva.errors import NotFoundError, UnavailableError, ValidationFailedError
from adiuva.sdk import PromptTemplate
from adiuva.sdk.convert import MismatchError
from adiuva.web.access import PRINCIPAL, Principal
from adiuva.web.disconnect import cancelled_on_disconnect
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json

DATA = "data"  # the variable of templates that is not among a step's vars
MAX_VALUE = 16_000  # characters, as those of a message


def _short(_: object, attribute: "attrs.Attribute[Any]", value: dict[str, str]) -> None:
    for name, text in value.items():
        if len(text) > MAX_VALUE:
            raise MismatchError(f"must have at most {MAX_VALUE} characters", field=f"{attribute.name}.{name}")


@frozen(kw_only=True)
class StepRequest:
    """A step to run, with all that it needs: the server keeps nothing between two steps."""

    plan_id: str
    step_id: str
    vars: dict[str, str] = field(factory=dict, repr=False, validator=_short)
    data: Any = field(default=None, repr=False)


async def get_playbook(request: web.Request) -> web.Response:
    """The built-in plans, and those that this user had made."""
    chat = request.app[CHAT]
    plans = chat.plans.listed_for(str(request[PRINCIPAL].user_id))
    return json_response({"items": [_shown(chat, plan) for plan in plans]})


async def get_plan(request: web.Request) -> web.Response:
    """One plan."""
    chat = request.app[CHAT]
    return json_response(_shown(chat, _found(chat, request.match_info["plan_id"], request[PRINCIPAL])))


async def post_step(request: web.Request) -> web.Response:
    """Run one llm step; a client that goes away stops the work."""
    body = await read_json(request, StepRequest)
    principal, chat = request[PRINCIPAL], request.app[CHAT]
    job = step_job(body, chat, principal)
    with cancelled_on_disconnect(request):
        result = await chat.answer(job, principal)
    return json_response({"output": result.response, "actions": result.actions, "usage": result.usage})


def step_job(body: StepRequest, chat: Chat, principal: Principal) -> ChatJob:
    """The job that runs the step: its template's agent, told what the template says.

    Raises:
        NotFoundError: there is no such plan for this user, or no such step in it.
        ValidationFailedError: it is a step for the client; a variable is missing or unknown; the data is not readable.
        TierRequiredError: the agent is not part of the user's tier.
    """
    plan = _found(chat, body.plan_id, principal)
    step = plan.step(body.step_id)
    if step is None:
        raise NotFoundError("There is no such step in this plan.")
    template = _template_of(step, chat.plans.templates)
    if chat.registry.get(template.agent) is None:
        raise UnavailableError(f"The agent {template.agent} is not installed on this server.")
    chat.require(principal, template.agent)
    context, results = step_data(body.data, plan, step)
    rights = chat.rights(principal, template.agent)
    data = None if body.data is None else data_text(rights.context(context), rights.results(results, {}))
    return ChatJob(
        message=_prompt(chat.plans.templates, template, body.vars, data),
        agents=(template.agent,),
        open_agents=(template.agent,),
        context=context,
        previous_results=results,
        model=chat.models[0],
        router_model=chat.router_model,
        grants=principal.plugins,
    )


def _template_of(step: Step, templates: PromptTemplateRegistry) -> PromptTemplate:
    template = templates.get(step.template_id or "")
    if template is None:
        raise ValidationFailedError([("step_id", "is a data step, which the client runs on its own data")])
    return template


def _prompt(
    templates: PromptTemplateRegistry, template: PromptTemplate, given: dict[str, str], data: str | None
) -> str:
    if DATA in given:
        raise ValidationFailedError([(f"vars.{DATA}", "is no variable of this step")])
    values = given if data is None or DATA not in template.variables else {**given, DATA: data}
    try:
        return templates.render(template.id, values)
    except ValidationFailedError as error:
        faults = [(name if name == DATA else f"vars.{name}", fault) for name, fault in error.errors]
        raise ValidationFailedError(faults) from None


def _found(chat: Chat, plan_id: str, principal: Principal) -> ExecutionPlan:
    plan = chat.plans.find(plan_id, str(principal.user_id))
    if plan is None:
        raise NotFoundError("There is no such plan.")
    return plan


def _shown(chat: Chat, plan: ExecutionPlan) -> dict[str, Any]:
    return wire_plan(clean_plan(chat.sanitizer, plan))


ROUTES = [
    Route("GET", "/plans/playbook", get_playbook),
    Route("GET", "/plans/playbook/{plan_id}", get_plan),
    Route("POST", "/plans/steps", post_step),
]
