"""What a chat completion looks like, for the OpenAPI document: what of OpenAI's own schema is answered here."""

from typing import Any, Final

_USAGE: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_FUNCTION: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "arguments": {"type": "string", "description": "JSON."}},
    "required": ["name", "arguments"],
}
_TOOL_CALL: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "type": {"const": "function"}, "function": _FUNCTION},
    "required": ["id", "type", "function"],
}
_MESSAGE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "role": {"const": "assistant"},
        "content": {"type": ["string", "null"]},
        "refusal": {"type": "null"},
        "tool_calls": {"type": "array", "items": _TOOL_CALL, "description": "Actions."},
    },
    "required": ["role", "content", "refusal"],
}
_CHOICE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "index": {"const": 0},
        "message": _MESSAGE,
        "logprobs": {"type": "null"},
        "finish_reason": {"enum": ["stop", "tool_calls"]},
    },
    "required": ["index", "message", "logprobs", "finish_reason"],
}

COMPLETION: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": _CHOICE, "minItems": 1, "maxItems": 1},
        "usage": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0} for name in _USAGE},
            "required": [*_USAGE],
        },
    },
    "required": ["id", "object", "created", "model", "choices", "usage"],
}
EXAMPLE: Final[dict[str, Any]] = {
    "id": "chatcmpl-019b1d2e5f4a7c3b9d106a4c2f8e7b51",
    "object": "chat.completion",
    "created": 1768469400,
    "model": "task_agent",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Three tasks are open.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
}
