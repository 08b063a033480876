"""The server of the chat's tests, seen through its other doors."""

from tests.chat.conftest import agent, model, start, user

__all__ = ["agent", "model", "start", "user"]
