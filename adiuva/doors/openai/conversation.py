"""From OpenAI's list of messages to the message, the history and the earlier actions of a chat request."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from attrs import frozen

from adiuva.chat.models import ChatRequest
from adiuva.doors.openai.models import Call, CompletionMessage, CompletionRequest
from adiuva.errors import ValidationFailedError
from adiuva.web import wire

ANY_AGENT: Final = "adiuva"
MAX_HISTORY: Final = 50
MAX_RESULT: Final = 2_000  # characters of a result of an action that the agent is told
RESULTS: Final = (
    "The app has carried out what you gave it:\n{lines}\nSay what has come of it, and do what is left to do."
)


@frozen(kw_only=True)
class Conversation:
    """A request as the chat takes it; ``done`` are actions that the client has carried out for this very message."""

    request: ChatRequest
    done: tuple[dict[str, Any], ...]


def read_conversation(body: CompletionRequest) -> Conversation:
    """The conversation that ``body`` holds, whose last word is the user's or a tool's.

    Raises:
        ValidationFailedError: it has another last word, a result without a call, or too long a message.
    """
    last = body.messages[-1]
    if last.role == "tool":
        message, done, earlier = _continued(body)
    elif last.role == "user" and last.text.strip():
        message, done, earlier = last.text, (), body.messages[:-1]
    else:
        fault = "must be the user's, and not empty, or a tool's result"
        raise ValidationFailedError([(f"messages[{len(body.messages) - 1}]", fault)])
    content: dict[str, Any] = {
        "message": message,
        "history": _history(earlier)[-MAX_HISTORY:],
        "context": body.context,
        "agents": None if body.model == ANY_AGENT else [body.model],
    }
    return Conversation(request=_chat_request(content), done=done)


def _continued(body: CompletionRequest) -> tuple[str, tuple[dict[str, Any], ...], list[CompletionMessage]]:
    """What the client's results say, what they are results of, and what was said before."""
    start = len(body.messages)
    while start and body.messages[start - 1].role == "tool":
        start -= 1
    asked = body.messages[start - 1] if start else None
    calls = {call.id: call for call in (asked.tool_calls or ())} if asked is not None else {}
    lines = []
    for index, answer in enumerate(body.messages[start:], start):
        call = calls.get(answer.tool_call_id or "")
        if call is None:
            raise ValidationFailedError(
                [(f"messages[{index}].tool_call_id", "must be of a call in the message before")]
            )
        lines.append(f"- {_shown(call)}: {_cut(answer.text)}")
    actions = [{"action": call.function.name, "params": _params(call)} for call in calls.values()]
    text = asked.text if asked else ""
    done = ({"agent": body.model, "response": text, "actions": actions},)
    return RESULTS.format(lines="\n".join(lines)), done, body.messages[:start]


def _history(messages: Sequence[CompletionMessage]) -> list[dict[str, str]]:
    history: list[dict[str, str]] = []
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    for message in messages:
        match message.role:
            case "assistant":
                lines = [message.text] if message.text else []
                lines += [f"→ {_shown(call)}" for call in message.tool_calls or ()]
                history.append({"role": "assistant", "content": "\n".join(lines)})
            case "tool":
                name = names.get(message.tool_call_id or "", "tool")
                history.append({"role": "user", "content": f"Result of {name}: {_cut(message.text)}"})
            case _:
                history.append({"role": "user", "content": message.text})
    return history


def _chat_request(content: dict[str, Any]) -> ChatRequest:
    try:
        return wire.structure(ChatRequest, content)
    except ValidationFailedError as error:
        faults = [
            ("messages" if field.startswith(("message", "history")) else field, text) for field, text in error.errors
        ]
        raise ValidationFailedError(faults) from None


def _params(call: Call) -> Any:
    try:
        params = orjson.loads(call.function.arguments or "{}")
    except orjson.JSONDecodeError:
        return {}
    try:
        wire.dump_free(params)
    except TypeError:
        raise ValidationFailedError([("messages", "have arguments that are nested too deeply")]) from None
    return params


def _shown(call: Call) -> str:
    return f"{call.function.name} {call.function.arguments}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}…"
