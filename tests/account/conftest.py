"""The server of the storage tests."""

from tests.storage.conftest import client, settings, start, user

__all__ = ["client", "settings", "start", "user"]
