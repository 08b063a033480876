"""``POST /v1/chat/completions`` and ``GET /v1/models``."""

import attrs
from aiohttp import web

from adiuva.chat.errors import CHAT_ERRORS
from adiuva.chat.service import CHAT, Chat
from adiuva.doors.openai.completion import CompletionStream, Head, completion
from adiuva.doors.openai.conversation import ANY_AGENT, read_conversation
from adiuva.doors.openai.errors import ERROR_FORM, ModelNotFoundError
from adiuva.doors.openai.models import CompletionRequest, ModelList, ModelObject
from adiuva.doors.openai.schema import COMPLETION, EXAMPLE
from adiuva.errors import NotFoundError
from adiuva.web.access import PRINCIPAL, Principal
from adiuva.web.describe import Answer, Body
from adiuva.web.disconnect import cancelled_on_disconnect
from adiuva.web.events import EventStream
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json


async def post_completion(request: web.Request) -> web.StreamResponse:
    """Answer a conversation; a client that goes away stops the work."""
    body = await read_json(request, CompletionRequest)
    principal, chat = request[PRINCIPAL], request.app[CHAT]
    _require_model(chat, principal, body.model)
    conversation = read_conversation(body)
    job = chat.job(conversation.request, principal, stream=bool(body.stream))
    job = attrs.evolve(job, previous_results=conversation.done)
    head = Head(model=body.model)
    with cancelled_on_disconnect(request):
        if not body.stream:
            return json_response(completion(head, await chat.answer(job, principal)))
        events = EventStream(request)
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        stream = CompletionStream(head=head, chat=chat, events=events, include_usage=include_usage)
        await stream.run(job, principal)
        return await events.end()


async def list_models(request: web.Request) -> web.Response:
    """The agents that the user may talk to, as models."""
    return json_response(ModelList(data=[ModelObject(id=name) for name in _models(request)]))


async def get_model(request: web.Request) -> web.Response:
    """One of them."""
    name = request.match_info["model"]
    if name not in _models(request):
        raise ModelNotFoundError
    return json_response(ModelObject(id=name))


def _models(request: web.Request) -> list[str]:
    agents = request.app[CHAT].agents_for(request[PRINCIPAL])
    return [ANY_AGENT, *(agent.name for agent in agents if agent.available)]


def _require_model(chat: Chat, principal: Principal, name: str) -> None:
    if name != ANY_AGENT:
        try:
            chat.require(principal, name)
        except NotFoundError:
            raise ModelNotFoundError from None


_REQUEST = {"model": "task_agent", "messages": [{"role": "user", "content": "Add a task to water the roses"}]}
_TEXT = "The answer. With `stream` it comes as server-sent events, as OpenAI's chunks."

ROUTES = [
    Route(
        "POST",
        "/chat/completions",
        post_completion,
        body=Body(CompletionRequest, _REQUEST),
        answers={200: Answer(COMPLETION, text=_TEXT, is_streamed=True, example=EXAMPLE)},
        errors=(ModelNotFoundError, *CHAT_ERRORS),
        error_form=ERROR_FORM,
    ),
    Route(
        "GET",
        "/models",
        list_models,
        answers={200: Answer(ModelList)},
        error_form=ERROR_FORM,
    ),
    Route(
        "GET",
        "/models/{model}",
        get_model,
        answers={200: Answer(ModelObject)},
        errors=(ModelNotFoundError,),
        error_form=ERROR_FORM,
    ),
]
