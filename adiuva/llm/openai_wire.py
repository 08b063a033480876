"""OpenAI's chat completions as JSON: the request that is sent, and the answers that come back."""

from collections.abc import Mapping
from typing import Any

import orjson

from adiuva.llm.faults import ProviderFault
from adiuva.llm.lane import Delta, ToolFragment
from adiuva.llm.protocol import Message, ModelCall, Usage

_MOST_TOKENS = 2**53  # what a client in JavaScript can read; no model has a thousandth of it


def request_body(call: ModelCall, *, model: str, stream: bool) -> dict[str, Any]:
    """The request for ``call``, but for its tools; ``model`` is the name that the provider itself uses."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in call.messages],
        "temperature": call.temperature,
    }
    if call.max_tokens is not None:
        body["max_tokens"] = call.max_tokens
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        wire["content"] = message.content or None
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return wire


def answer_of(body: Any) -> Delta:
    """The whole of an answer that is not streamed.

    Raises:
        ProviderFault: it is an error, or no answer at all.
    """
    delta = _delta(body, part="message")
    if not delta.finished:
        raise ProviderFault("nonsense")
    return delta


def delta_of(chunk: Any) -> Delta:
    """What one chunk of a streamed answer adds.

    Raises:
        ProviderFault: it is an error, or cannot be read.
    """
    return _delta(chunk, part="delta")


def error_of(body: Any, *, status: int, retry_after: float | None = None) -> ProviderFault:
    """The fault that an error answer tells of; of its words only the code is kept."""
    error = body.get("error") if isinstance(body, dict) else None
    code = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    if not status and isinstance(code, int):  # OpenRouter and vLLM put the status there
        status = code
    return ProviderFault("status", status=status or 502, code=str(code or ""), retry_after=retry_after)


def _delta(body: Any, *, part: str) -> Delta:
    try:
        if body.get("error"):
            raise error_of(body, status=0)
        usage = _usage(body.get("usage"))
        choices = body.get("choices")
        if not choices:
            return Delta(usage=usage)
        choice = choices[0]
        content = choice.get(part) or {}
        calls = content.get("tool_calls")
        return Delta(
            text=_text(content.get("content")),
            tools=tuple(_fragment(call, number) for number, call in enumerate(calls)) if calls else (),
            usage=usage,
            finished=choice.get("finish_reason") is not None or part == "message",
        )
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        fault = ProviderFault("nonsense")
    raise fault


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    # Mistral's reasoning models send a list of parts, thoughts among them.
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _fragment(call: Mapping[str, Any], number: int) -> ToolFragment:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if isinstance(arguments, dict):  # Ollama's habit
        arguments = orjson.dumps(arguments).decode()
    index = call.get("index")
    return ToolFragment(
        index=number if index is None else int(index),
        id=str(call.get("id") or ""),
        name=str(function.get("name") or ""),
        arguments=str(arguments or ""),
    )


def _usage(usage: Any) -> Usage | None:
    if not usage:
        return None
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")), completion_tokens=_count(usage.get("completion_tokens"))
    )


def _count(tokens: Any) -> int:
    """How many tokens a provider says there were; 0 where it says nothing that can be."""
    return int(tokens) if isinstance(tokens, int | float) and 0 <= tokens <= _MOST_TOKENS else 0
