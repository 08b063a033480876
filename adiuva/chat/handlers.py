"""The chat over HTTP: ``POST /chat``, ``GET /agents``, ``GET /models``, and the upgrade to ``WS /chat/stream``."""

from aiohttp import web

from adiuva.auth.sockets import SOCKET_ANSWERS, SOCKET_ERRORS, SOCKET_PARAMETERS
from adiuva.chat.errors import CHAT_ERRORS
from adiuva.chat.messages import ChatResponse
from adiuva.chat.models import Agents, ChatRequest, Models
from adiuva.chat.plans.models import ExecutionPlan, wire_plan
from adiuva.chat.service import CHAT, wire_result
from adiuva.chat.socket import open_stream
from adiuva.web.access import PRINCIPAL
from adiuva.web.describe import Answer, Body
from adiuva.web.disconnect import cancelled_on_disconnect
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json


async def post_chat(request: web.Request) -> web.Response:
    """Answer one message; a client that goes away stops the work."""
    body = await read_json(request, ChatRequest)
    principal, chat = request[PRINCIPAL], request.app[CHAT]
    job = chat.job(body, principal, stream=False)
    with cancelled_on_disconnect(request):
        result = await chat.answer(job, principal)
    return json_response(wire_plan(result.plan) if result.plan else wire_result(result))


async def list_agents(request: web.Request) -> web.Response:
    """Every agent of this server, and which of them the user's tier holds."""
    return json_response(Agents(items=request.app[CHAT].agents_for(request[PRINCIPAL])))


async def list_models(request: web.Request) -> web.Response:
    """Every model that clients may ask for, and which of them the user's tier holds."""
    return json_response(Models(items=request.app[CHAT].models_for(request[PRINCIPAL].tier)))


_REQUEST = {
    "message": "Add a task to water the roses",
    "context": {"tasks": [{"id": "1", "title": "Mow the lawn"}], "timezone": "Europe/Berlin"},
    "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello! What can I do?"}],
}

ROUTES = [
    Route(
        "POST",
        "/chat",
        post_chat,
        body=Body(ChatRequest, _REQUEST),
        answers={200: Answer(ChatResponse | ExecutionPlan, text="The answer; in plan mode a plan.")},
        errors=CHAT_ERRORS,
    ),
    Route("GET", "/agents", list_agents, answers={200: Answer(Agents)}),
    Route("GET", "/models", list_models, answers={200: Answer(Models)}),
    Route(
        "GET",
        "/chat/stream",
        open_stream,
        access="public",  # it authenticates the socket itself
        limit=None,
        parameters=SOCKET_PARAMETERS,
        answers=SOCKET_ANSWERS,
        errors=SOCKET_ERRORS,
    ),
]
