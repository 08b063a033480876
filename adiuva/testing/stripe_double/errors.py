"""Errors in Stripe's shape."""

from typing import Any


class ApiError(Exception):
    """An error answer; ``saved``: an idempotency key brings it back, since the call had begun."""

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - Stripe's word
        saved: bool = False,
        **more: Any,
    ) -> None:
        self.status = status
        self.saved = saved
        self.body = {"error": {"type": type, "message": message, **({"code": code} if code else {}), **more}}
        super().__init__(message)


def missing(kind: str, key: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, "resource_missing", f"No such {kind}: '{key}'", param="id")
